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
    let (zh, en) = match config::nearest(name, names()) {
        Some(near) => {
            (format!("，是不是'{near}'？"), format!("; did you mean '{near}'? riskgate language {near}"))
        }
        None => (String::new(), format!("; there are {}", names().collect::<Vec<_>>().join(", "))),
    };
    screen.problem(&format!("没有函数或内置规则'{name}'{zh} / no function and no kind of rule '{name}'{en}"));
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
    let defaults = defaults.map(|(key, delay)| format!("{key} = \"{}\"", written(delay)));
    let priority = format!("{:?}", of.priority).to_lowercase();
    screen.say(&format!("  默认 defaults: priority = \"{priority}\", {}", defaults.join(", ")));
    screen.say(&format!("\n例 Example: kind = \"{}\", {}", of.name, of.example));
}

/// As the configuration writes durations: in the largest unit that holds it whole.
fn written(delay: Duration) -> String {
    let millis = delay.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, size)| millis >= *size && millis.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

fn rules(folder: &Path, screen: &mut Screen) -> Outcome {
    let checked = match config::check(folder) {
        Ok(checked) => checked,
        Err(problems) => {
            screen.problem(&problems.render(screen.colour));
            screen.problem(&format!("配置有错误 / {} is refused", folder.display()));
            return Outcome::Refused;
        }
    };
    checked.plant.rules().iter().for_each(|of| rule(of, screen));
    Outcome::Done
}

fn rule(of: &Rule, screen: &mut Screen) {
    let (on, off) = of.delays();
    screen.say(&format!("{}  {}", of.id(), of.name().zh));
    screen.say(&format!("  when   {}  for {}", of.text(), written(on)));
    screen.say(&format!("  clear  {}  for {}", of.clear_text(), written(off)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        let told = [0, 500, 1_000, 90_000, 120_000, 28_800_000, 86_400_000, 90_000_000]
            .map(|millis| written(Duration::from_millis(millis)));
        assert_eq!(told, ["0s", "500ms", "1s", "90s", "2m", "8h", "1d", "25h"]);
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_the_nearest() {
        let said = |name: &str| {
            let mut err = Vec::new();
            let outcome = one(name, &mut Screen::to(&mut Vec::new(), &mut err, None));
            (outcome, String::from_utf8(err).expect("UTF-8"))
        };
        let (outcome, text) = said("bypas");
        assert_eq!(outcome, Outcome::Usage);
        assert!(text.contains("did you mean 'bypass'?"), "{text}");
        assert!(said("zzzzzzzz").1.contains("there are "));
    }
}
