//! What holds when the configuration is swapped in the middle of things, and when time does what it should not: the
//! calendar jumps by a day, or the machine sleeps.

use super::*;

const DAY_MS: i64 = 86_400_000;

/// One step in three swaps the configuration.
fn swapped() -> impl Strategy<Value = Vec<Step>> {
    let swap = (0..2usize).prop_map(|to| What::Reload { to });
    let what = prop_oneof![2 => what(), 1 => swap];
    let ms = prop_oneof![3 => Just(0u64), 2 => 1..20_000u64];
    prop::collection::vec((ms, what).prop_map(|(ms, what)| Step { ms, what }), 1..60)
}

/// What is left of a boost whatever is said of it: whose it is and since when.
fn boosts(tasks: &[Arc<TaskRecord>]) -> BTreeMap<(String, String), Boost> {
    let each = tasks.iter().flat_map(|task| {
        task.boosts.iter().map(|boost| ((task.task.clone(), boost.rule.clone()), boost.clone()))
    });
    each.collect()
}

fn without_indicators(effects: &[Effect]) -> Vec<&Effect> {
    effects.iter().filter(|effect| !matches!(effect, Effect::Indicator(_))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_swap_of_the_configuration_keeps_every_identity(steps in swapped()) {
        let mut run = Run::new();
        for step in &steps {
            run.pass(step.ms);
            let What::Reload { to } = &step.what else {
                run.act(&step.what);
                continue;
            };
            let before = (run.engine.alarms(), run.engine.hazards(), boosts(&run.engine.tasks()));
            run.act(&step.what);
            let plant = Arc::clone(&run.plants[*to]);
            let (alarms, hazards) = (run.engine.alarms(), run.engine.hazards());
            for was in before.0.iter().filter(|alarm| alarm.state.is_active()) {
                let is = alarms.iter().find(|alarm| alarm.id == was.id);
                if let Some(is) = is.filter(|alarm| alarm.state.is_active()) {
                    prop_assert_eq!((is.episode, is.since), (was.episode, was.since), "{}", was.id);
                    prop_assert_eq!(&is.acknowledged_by, &was.acknowledged_by);
                    prop_assert_eq!(&is.withheld.shelved, &was.withheld.shelved);
                    prop_assert_eq!(&is.withheld.out_of_service, &was.withheld.out_of_service);
                } else if is.is_none() && was.kind != AlarmKind::Fault && plant.rule_at(&was.id).is_some() {
                    // It ended as its new text says: it was acknowledged, or nobody was to hear of it.
                    prop_assert!(was.state == AlarmState::Acknowledged || was.withheld != Withheld::default());
                }
            }
            for was in &before.1 {
                let is = hazards.iter().find(|hazard| hazard.id == was.id);
                prop_assert!(is.is_some(), "an open hazard stays: {was:?}");
                let is = is.expect("it is there");
                prop_assert_eq!((is.opening, is.stage, &is.acts), (was.opening, was.stage, &was.acts));
                prop_assert_eq!((is.raised, is.deadline), (was.raised, was.deadline));
            }
            let after = boosts(&run.engine.tasks());
            for (key, was) in &before.2 {
                let Some(is) = after.get(key) else {
                    // Only what was to end by now, or what nothing held any more.
                    let rule = plant.rule_at(&key.1).and_then(|at| plant.rule(at));
                    prop_assert!(was.until.is_some() || rule.is_none(), "{key:?} {was:?}");
                    continue;
                };
                prop_assert_eq!(is.since, was.since, "{:?}", key);
                if let Some(until) = was.until {
                    prop_assert!(is.until.is_none_or(|is| is == until), "{key:?} {was:?} {is:?}");
                }
            }
            for task in run.engine.tasks() {
                prop_assert!(task.cycle <= task.base_cycle);
            }
        }
    }

    #[test]
    fn a_swap_to_the_same_configuration_changes_nothing(steps in swapped()) {
        let mut run = Run::new();
        let mut at = 0;
        for step in &steps {
            run.step(step);
            if let What::Reload { to } = &step.what {
                at = *to;
            }
            let all = |run: &Run| {
                let engine = &run.engine;
                (engine.alarms(), engine.hazards(), engine.tasks(), engine.units(), engine.stops())
            };
            // The first judges rules that nothing has touched yet.
            run.act(&What::Reload { to: at });
            let before = (all(&run), run.effects.len());
            run.act(&What::Reload { to: at });
            let told: Vec<Effect> = run.effects.iter().skip(before.1).cloned().collect();
            prop_assert_eq!(without_indicators(&told), Vec::<&Effect>::new());
            prop_assert_eq!(&before.0, &all(&run));
        }
    }

    #[test]
    fn a_calendar_that_jumps_by_a_day_fires_and_holds_no_delay(steps in steps()) {
        // Shelves, permits and deadlines stand in the calendar; nothing else does.
        let timed = |step: &&Step| {
            !matches!(step.what, What::Act { .. } | What::WallSteps(_) | What::Permit { .. })
        };
        let (mut plain, mut jumping) = (Run::new(), Run::new());
        let told = |run: &Run| -> Vec<String> {
            let line = |effect: &Effect| match effect {
                Effect::Alarm(of) => Some(format!("{} {} {}", of.id, of.state.word(), of.episode)),
                Effect::Unit(of) => {
                    let causes: Vec<&str> = of.causes.iter().map(|cause| cause.rule.as_str()).collect();
                    Some(format!("{} {:?} {causes:?}", of.unit, of.current))
                }
                Effect::Hazard(_)
                | Effect::Task(_)
                | Effect::Stop(_)
                | Effect::Record(_)
                | Effect::Indicator(_)
                | Effect::Shadow(_) => None,
            };
            run.effects.iter().filter_map(line).collect()
        };
        for (nth, step) in steps.iter().filter(timed).enumerate() {
            jumping.now.wall = Wall(jumping.now.wall.0 + [DAY_MS, -DAY_MS, -DAY_MS, DAY_MS][nth % 4]);
            plain.step(step);
            jumping.step(step);
            prop_assert_eq!(told(&plain), told(&jumping));
        }
    }

    #[test]
    fn a_machine_that_slept_says_at_once_what_one_that_did_not_has_said(
        steps in steps(), hours in 1..24u64
    ) {
        let (mut awake, mut asleep) = (Run::new(), Run::new());
        steps.iter().for_each(|step| awake.step(step));
        steps.iter().for_each(|step| asleep.step(step));
        let before = awake.effects.len();
        awake.pass(hours * 3_600_000);
        asleep.now = asleep.now.after(Duration::from_hours(hours));
        let now = asleep.now;
        asleep.engine.handle_timeout(now, &mut asleep.effects);
        // What it says late is stamped late, and so are the deadlines of it: a night does not reach those.
        // Nothing that fell due meanwhile is left for later.
        prop_assert!(asleep.engine.poll_timeout().is_none_or(|(due, _)| due > now.mono));
        let told = |run: &Run| -> Vec<(String, u64)> {
            let told: Vec<Effect> = run.effects.iter().skip(before).cloned().collect();
            without_indicators(&told).into_iter().map(revision).collect()
        };
        prop_assert_eq!(told(&awake), told(&asleep));
        let standing = |run: &Run| {
            let alarms: Vec<_> = run.engine.alarms().iter().map(|of| (of.id.clone(), of.state)).collect();
            let hazards: Vec<_> = run.engine.hazards().iter().map(|of| (of.id, of.stage)).collect();
            (alarms, hazards)
        };
        prop_assert_eq!(standing(&awake), standing(&asleep));
    }
}
