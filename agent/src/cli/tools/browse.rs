//! `riskgate browse opcua`: the tree of a server, or rows of a point table.

use std::collections::HashMap;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use riskgate_drivers::opcua::browse::{self, Found, Listed, Wish};
use riskgate_drivers::opcua::{
    Applicant, Channel, Kind, Mode, Password, Pki, Policy, Security, Server, User,
};

use super::super::{Outcome, Screen, site_of};
use super::args::{BrowseOpcua, PolicyWord};
use super::on_one_thread;
use super::progress::Progress;
use crate::clock;
use crate::config::paste::{self, Row};

const VALUE_SHOWN: usize = 40;

pub(super) fn opcua(args: &BrowseOpcua, screen: &mut Screen) -> Outcome {
    let security = match security(args, screen) {
        Ok(security) => security,
        Err(outcome) => return outcome,
    };
    let user = match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => match password(file) {
            Ok(password) => User::Password { name: user.clone(), password: Password::new(password) },
            Err(why) => {
                screen.problem(&why);
                return Outcome::Refused;
            }
        },
        (Some(_) | None, _) => User::Anonymous,
    };
    let server = Server::to_browse(&args.url, security, user);
    let wish = Wish {
        from: args.path.clone(),
        depth: args.depth,
        filter: args.filter.clone(),
        nodes_max: usize::try_from(args.max).unwrap_or(usize::MAX),
    };
    let progress = Progress::of_process();
    let mut show = |nodes: usize| progress.show(nodes, None, &format!("已列 listed {nodes} 节点 nodes"));
    let listed =
        on_one_thread(browse::browse(server, clock::now, &wish, &mut show)).and_then(|listed| listed);
    progress.clear();
    let listed = match listed {
        Ok(listed) => listed,
        Err(why) => {
            screen.problem(&why);
            return Outcome::Refused;
        }
    };
    let shown = if args.csv { rows(args, &listed, screen) } else { tree(&listed, screen) };
    screen.problem(&format!("{shown} / {} 节点 nodes", listed.nodes.len()));
    for fault in &listed.faults {
        screen.problem(fault);
    }
    if listed.is_cut {
        screen.problem(&format!(
            "未列全：到了上限 {} 个节点 not all is listed, the bound is reached: 从下层开始 begin below (PATH), --max N",
            listed.nodes.len()
        ));
    }
    if listed.is_cut || !listed.faults.is_empty() { Outcome::Refused } else { Outcome::Done }
}

/// As a source has it: the strongest policy of the server, and the gateway's certificate, unless said otherwise.
fn security(args: &BrowseOpcua, screen: &mut Screen) -> Result<Security, Outcome> {
    let policy = match args.policy {
        Some(PolicyWord::None) => return Ok(Security::open()),
        Some(PolicyWord::Basic256Sha256) => Some(Policy::Basic256Sha256),
        Some(PolicyWord::Aes128Sha256RsaOaep) => Some(Policy::Aes128Sha256RsaOaep),
        Some(PolicyWord::Aes256Sha256RsaPss) => Some(Policy::Aes256Sha256RsaPss),
        None => None,
    };
    let Some(folder) = &args.config else {
        screen.problem(
            "加密连接要用本网关的证书：写 --config /etc/riskgate；不加密：--policy None a secured channel is opened with \
             the gateway's certificate: write --config /etc/riskgate; without any security: --policy None",
        );
        return Err(Outcome::Usage);
    };
    let site =
        site_of(folder, "the gateway's certificate is not known: mend it, or write --policy None", screen)?;
    let pki = site.store.pki();
    // Whoever makes it, owns it: made here by root, the agent could not read its key.
    if !matches!(Pki::new(pki.clone()).own(), Ok(Some(_))) {
        screen.problem(
            "网关还没有自己的证书，或读不了 the gateway has no certificate of its own yet, or it cannot be read: the agent \
             makes one at its first start with a secured source; riskgate opcua show own; use sudo with the service",
        );
        return Err(Outcome::Refused);
    }
    Ok(Security {
        channel: Channel::Secured { policy, mode: Mode::SignAndEncrypt },
        trust_first: false,
        pki,
        applicant: Applicant { company: site.company, gateway: site.gateway },
        source: "browse".to_owned(),
    })
}

fn password(file: &Path) -> Result<String, String> {
    let path = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{path}: 密码文件读不了 the password cannot be read: {error}"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn tree(listed: &Listed, screen: &mut Screen) -> usize {
    let header = ["名称 browse name", "节点号 node id", "类型 type", "值 value", "质量 quality"];
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    if let Some(width) = screen.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let mut shown = 0;
    for (depth, found) in listed.in_order() {
        shown += 1;
        let again = if found.is_again { " (见上 see above)" } else { "" };
        let (value, quality) = match &found.variable {
            Some(variable) => (
                variable.value.as_ref().map_or_else(|| variable.unfit.clone(), ToString::to_string),
                variable.quality.map(|quality| quality.to_string()).unwrap_or_default(),
            ),
            None => (String::new(), String::new()),
        };
        let kind = found.variable.as_ref().map(|variable| variable.type_name.clone()).unwrap_or_default();
        let name = format!("{}{}{again}", "  ".repeat(depth), found.name);
        table.add_row([name, found.node.to_string(), kind, cut(&value), quality]);
    }
    screen.say(&table.to_string());
    shown
}

fn cut(value: &str) -> String {
    if value.chars().count() <= VALUE_SHOWN {
        return value.to_owned();
    }
    format!("{}…", value.chars().take(VALUE_SHOWN).collect::<String>())
}

/// A row for each variable that a point can read. The others are counted.
fn rows(args: &BrowseOpcua, listed: &Listed, screen: &mut Screen) -> usize {
    let mut rows = Vec::new();
    let mut unfit = 0;
    let mut tags = Tags::default();
    for (_, found) in listed.in_order().filter(|(_, found)| !found.is_again && found.is_match) {
        let Some(variable) = &found.variable else { continue };
        let Some(kind) = variable.kind else {
            unfit += 1;
            continue;
        };
        rows.push(Row {
            tag: tags.tag(listed, found),
            name: found.name.clone(),
            source: args.source.clone(),
            address: found.node.to_string(),
            kind: type_of(kind, &variable.type_name).to_owned(),
            ..Row::default()
        });
    }
    if !rows.is_empty() {
        screen.say(&paste::csv(&rows));
    }
    if unfit > 0 {
        screen.problem(&format!("{unfit} 个不能作测点：数组、结构 are no points: arrays, structures"));
    }
    rows.len()
}

/// In the words of the point table.
fn type_of(kind: Kind, name: &str) -> &'static str {
    match (kind, name) {
        (Kind::Bool, _) => "bool",
        (Kind::Text, _) => "text",
        (Kind::Number, "SByte" | "Int16") => "i16",
        (Kind::Number, "Byte" | "UInt16") => "u16",
        (Kind::Number, "Int32") => "i32",
        (Kind::Number, "UInt32") => "u32",
        (Kind::Number, "Int64") => "i64",
        (Kind::Number, "UInt64") => "u64",
        (Kind::Number, "Float") => "f32",
        (Kind::Number, _) => "f64",
    }
}

/// No tag stands twice in a point table.
#[derive(Default)]
struct Tags {
    given: HashMap<String, usize>,
}

impl Tags {
    /// The name; where that is taken, with the names above it; where those are too, with a number.
    fn tag(&mut self, listed: &Listed, found: &Found) -> String {
        let mut tag = plain(&found.name);
        let mut above = found.parent;
        while self.given.contains_key(&tag) {
            let Some(parent) = above.and_then(|place| listed.nodes.get(place)) else { break };
            tag = format!("{}.{tag}", plain(&parent.name));
            above = parent.parent;
        }
        let times = self.given.entry(tag.clone()).or_default();
        *times += 1;
        if *times == 1 { tag } else { self.numbered(&tag) }
    }

    fn numbered(&mut self, tag: &str) -> String {
        let mut number = 2;
        loop {
            let numbered = format!("{tag}#{number}");
            if self.given.insert(numbered.clone(), 1).is_none() {
                return numbered;
            }
            number += 1;
        }
    }
}

/// Braces stand for tags in rules.
fn plain(name: &str) -> String {
    name.trim().replace(['{', '}'], "_").replace(char::is_control, "_")
}
