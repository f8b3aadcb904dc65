//! `riskgate language`: the rule language as its index tells it, and the rules of a configuration as they are
//! judged. It makes nothing up: all of it is printed from the tables that the engine checks texts by.

use std::path::Path;
use std::time::Duration;

use riskgate_engine::{FUNCTIONS, Form, Function, GRAMMAR, KINDS, Key, Kind, Rule};

use super::args::LanguageArgs;
use super::{Outcome, Screen};
use crate::config;

pub(super) fn show(args: &LanguageArgs, screen: &mut Screen) -> Outcome {
    match (&args.config, &args.name) {
        (Some(folder), _) => rules(folder, screen),
        (None, Some(name)) => one(name, screen),
        (None, None) => {
            whole(screen);
            Outcome::Done
        }
    }
}

/// How what rules remember comes back.
const AFTER_A_START: &str = "
启动以后 After a start
  时间窗由历史数据补回，停机时段为未知，自第一个新读数起判断；补回的数据本身不引发报警。
  Windows are filled back from the history, the outage being unknown, and judged from the first new reading on.
  人员、视频、作业票、数据源报警不在历史中：其时间窗重新开始，未满之前为未知。
  People, sightings, permits and conditions are not in it: their windows begin anew, unknown until covered.";

fn whole(screen: &mut Screen) {
    screen.say("语法 Grammar (EBNF)\n");
    screen.say(GRAMMAR);
    screen.say("函数 Functions\n");
    FUNCTIONS.iter().for_each(|of| screen.say(&format!("  {}\n      {} {}", of.usage, of.zh, of.en)));
    screen.say("\n内置规则 Kinds of rules, as kind = \"…\" in a [[rule]]\n");
    KINDS.iter().for_each(|kind| screen.say(&format!("  {}\n      {} {}", kind.name, kind.zh, kind.en)));
    screen.say(AFTER_A_START);
    screen.say("\n下一步 Next: riskgate language NAME");
}

fn one(name: &str, screen: &mut Screen) -> Outcome {
    if let Some(of) = FUNCTIONS.iter().find(|of| of.name == name) {
        function(of, screen);
    }
    if let Some(of) = KINDS.iter().find(|of| of.name == name) {
        kind(of, screen);
    }
    let names = || FUNCTIONS.iter().map(|of| of.name).chain(KINDS.iter().map(|of| of.name));
    if names().any(|known| known == name) {
        return Outcome::Done;
    }
    let all = names().collect::<Vec<_>>().join(", ");
    screen.problem(&format!(
        "没有函数或内置规则'{name}' / no function and no kind of rule '{name}'; there are {all}"
    ));
    Outcome::Usage
}

fn function(of: &Function, screen: &mut Screen) {
    screen.say(&format!("{}\n  {}\n  {}\n\n例 Example: {}", of.usage, of.zh, of.en, of.example));
    of.play.split(';').for_each(|part| screen.say(&format!("  {}", part.trim())));
}

fn kind(of: &Kind, screen: &mut Screen) {
    screen.say(&format!("kind = \"{}\"\n  {}\n  {}\n", of.name, of.zh, of.en));
    for Key { name, form, default, en } in of.keys {
        let form = match form {
            Form::Text => "text",
            Form::Texts => "list of texts",
            Form::Number => "number",
            Form::Duration => "duration",
        };
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        screen.say(&format!("  {name:<10} {form}: {en}{default}"));
    }
    let defaults = [("for", of.on_delay), ("clear_for", of.off_delay)];
    let defaults = defaults.map(|(key, delay)| format!("{key} = \"{}\"", seconds(delay)));
    let priority = format!("{:?}", of.priority).to_lowercase();
    screen.say(&format!("  默认 defaults: priority = \"{priority}\", {}", defaults.join(", ")));
    screen.say(&format!("\n例 Example: kind = \"{}\", {}", of.name, of.example));
}

fn seconds(delay: Duration) -> String {
    format!("{}s", delay.as_secs())
}

fn rules(folder: &Path, screen: &mut Screen) -> Outcome {
    let checked = match config::check(folder) {
        Ok(checked) => checked,
        Err(problems) => {
            screen.problem(&problems.render(screen.colour));
            return Outcome::Refused;
        }
    };
    checked.plant.rules().iter().for_each(|of| rule(of, screen));
    Outcome::Done
}

fn rule(of: &Rule, screen: &mut Screen) {
    let (on, off) = of.delays();
    screen.say(&format!("{}  {}", of.id(), of.name().zh));
    screen.say(&format!("  when   {}  for {}", of.text(), seconds(on)));
    screen.say(&format!("  clear  {}  for {}", of.clear_text(), seconds(off)));
}
