//! A shadow beside each written rule: it sees what the rule sees, and nobody can tell that it is there.

use super::*;

/// The same plants, where each written rule has a copy of itself that is a shadow rule.
fn shaded() -> [Arc<Plant>; 2] {
    drafts().map(|mut draft| {
        let copy = |rule: &RuleDraft| RuleDraft { id: shadow_of(&rule.id), shadow: true, ..rule.clone() };
        let copies: Vec<RuleDraft> = draft.rules.iter().map(copy).collect();
        draft.rules.extend(copies);
        plant(draft)
    })
}

fn shadow_of(rule: &str) -> String {
    format!("{rule}-shadow")
}

pub(super) static SHADED: LazyLock<[Arc<Plant>; 2]> = LazyLock::new(shaded);

/// What others are told.
fn told(effects: &[Effect]) -> String {
    let told: Vec<&Effect> = effects.iter().filter(|effect| !matches!(effect, Effect::Shadow(_))).collect();
    serde_json::to_string(&told).unwrap()
}

/// As a store gives it back to an agent that starts anew.
fn restarted(run: &Run) -> Run {
    let mut effects = Vec::new();
    let plant = Arc::clone(run.engine.plant());
    let engine = Engine::new(plant, EPOCH, restored(&run.effects), run.now, &mut effects);
    Run { plants: run.plants.clone(), engine, now: run.now, effects }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_anyone_is_told_changes_by_shadow_rules(steps in steps(), after in steps()) {
        let (mut plain, mut shaded) = (Run::new(), Run::over(&SHADED));
        for step in &steps {
            plain.step(step);
            shaded.step(step);
            prop_assert_eq!(plain.shown(), shaded.shown());
        }
        prop_assert_eq!(told(&plain.effects), told(&shaded.effects));
        let (mut plain, mut shaded) = (restarted(&plain), restarted(&shaded));
        for step in &after {
            plain.step(step);
            shaded.step(step);
            prop_assert_eq!(plain.shown(), shaded.shown());
        }
        prop_assert_eq!(told(&plain.effects), told(&shaded.effects));
    }

    #[test]
    fn a_shadow_rule_has_an_episode_whenever_its_rule_has_one(steps in steps()) {
        let mut run = Run::over(&SHADED);
        // Another text begins a shadow rule anew, and keeps an alarm.
        for step in steps.iter().filter(|step| !matches!(step.what, What::Reload { .. })) {
            run.step(step);
            let rules = run.engine.plant().rules().iter().zip(&run.engine.rules);
            let active: BTreeMap<&str, bool> =
                rules.map(|(rule, state)| (rule.id(), state.phase.is_active())).collect();
            let shadows = run.engine.shadows();
            for (rule, active) in active.iter().filter(|(rule, _)| !rule.ends_with("-shadow")) {
                let shadow = shadow_of(rule);
                let record = shadows.iter().find(|record| record.rule == shadow);
                let going_on = record.is_some_and(|record| record.since.is_some());
                let judged = run.engine.plant().rule_named(&shadow).is_some();
                prop_assert_eq!(*active && judged, going_on, "{}", rule);
            }
        }
    }
}
