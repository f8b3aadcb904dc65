//! Hazards: raising, escalating, repeats, and the acts of persons.

use crate::site::{check, draft};

#[test]
fn an_outer_limit_alarms_at_once_and_turns_the_open_candidate_into_a_hazard() {
    check(
        draft(),
        "
1s LI 86
  6s alarm LI/H unacknowledged #1
  6s hazard M-1 limit:LI: a candidate by LI/H
10s LI 96
  10s alarm LI/HH unacknowledged #1
  10s hazard M-1 limit:LI: rectifying by LI/HH
20s LI 90
  20s alarm LI/HH returned #1
30s LI 50
  30s alarm LI/H returned #1
  30s hazard M-1 limit:LI: rectifying by LI/HH returned
",
    );
}

#[test]
fn an_inner_limit_that_joins_an_outer_one_is_the_same_episode() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
  6s alarm LI/H unacknowledged #1
9s
30s LI 50
  30s alarm LI/H returned #1
  30s alarm LI/HH returned #1
  30s hazard M-1 limit:LI: rectifying by LI/HH returned
40s LI 99
  40s alarm LI/HH unacknowledged #2
  40s hazard M-1 limit:LI: rectifying by LI/HH repeats 1
  45s alarm LI/H unacknowledged #2
50s LI 50
  50s alarm LI/H returned #2
  50s alarm LI/HH returned #2
  50s hazard M-1 limit:LI: rectifying by LI/HH repeats 1 returned
",
    );
}

#[test]
fn persons_move_a_hazard_from_candidate_to_accepted() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s rectify limit:GD-1
  refused: it is a candidate; this act needs it to be rectifying
3s confirm limit:GD-1 seen
  3s hazard M-2 limit:GD-1: rectifying by GD-1/H
4s reject limit:GD-1 no
  refused: it is rectifying; this act needs it to be a candidate
5s accept limit:GD-1
  refused: it is rectifying; this act needs it to be awaiting acceptance
6s rectify limit:GD-1
  6s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H
7s GD-1 0
  7s alarm GD-1/H returned #1
  7s hazard M-2 limit:GD-1: awaiting acceptance by GD-1/H returned
8s accept limit:GD-1 done
  8s hazard M-2 limit:GD-1: accepted by GD-1/H returned
9s accept limit:GD-1
  refused: it is accepted; this act needs it to be awaiting acceptance
10s GD-1 30
  10s alarm GD-1/H unacknowledged #2
  10s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 2 recurrence 1
",
    );
}

#[test]
fn a_repeat_while_open_is_counted_and_a_return_never_closes() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s GD-1 0
  2s alarm GD-1/H returned #1
  2s hazard M-2 limit:GD-1: a candidate by GD-1/H returned
3s GD-1 30
  3s alarm GD-1/H unacknowledged #2
  3s hazard M-2 limit:GD-1: a candidate by GD-1/H repeats 1
4s confirm limit:GD-1
  4s hazard M-2 limit:GD-1: rectifying by GD-1/H repeats 1
5s GD-1 0
  5s alarm GD-1/H returned #2
  5s hazard M-2 limit:GD-1: rectifying by GD-1/H repeats 1 returned
6s GD-1 30
  6s alarm GD-1/H unacknowledged #3
  6s hazard M-2 limit:GD-1: rectifying by GD-1/H repeats 2
",
    );
}

#[test]
fn a_rejected_episode_raises_nothing_more_and_the_next_one_does() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s reject limit:GD-1
  refused: a reason is needed: --why TEXT
3s reject limit:GD-1 steam
  3s hazard M-2 limit:GD-1: rejected by GD-1/H
4s GD-1 31
5s GD-1 0
  5s alarm GD-1/H returned #1
6s GD-1 30
  6s alarm GD-1/H unacknowledged #2
  6s hazard M-2 limit:GD-1: a candidate by GD-1/H opening 2
",
    );
}

#[test]
fn what_was_rejected_speaks_up_in_its_episode_only_when_it_grows_graver() {
    check(
        draft(),
        "
1s GD-1 30
  1s alarm GD-1/H unacknowledged #1
  1s hazard M-2 limit:GD-1: a candidate by GD-1/H
2s reject limit:GD-1 steam
  2s hazard M-2 limit:GD-1: rejected by GD-1/H
3s GD-1 60
  3s alarm GD-1/HH unacknowledged #1
  3s hazard M-2 limit:GD-1: a candidate by GD-1/HH opening 2
4s reject limit:GD-1 steam
  4s hazard M-2 limit:GD-1: rejected by GD-1/HH opening 2
5s GD-1 30
  5s alarm GD-1/HH returned #1
6s GD-1 60
  6s alarm GD-1/HH unacknowledged #2
  6s hazard M-2 limit:GD-1: a candidate by GD-1/HH opening 3
7s GD-1 0
  7s alarm GD-1/H returned #1
  7s alarm GD-1/HH returned #2
  7s hazard M-2 limit:GD-1: a candidate by GD-1/HH opening 3 returned
",
    );
}

#[test]
fn a_lesser_limit_does_not_reopen_what_was_rejected_in_its_episode() {
    check(
        draft(),
        "
1s LI 99
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
2s rectify limit:LI
  2s hazard M-1 limit:LI: awaiting acceptance by LI/HH
3s accept limit:LI
  3s hazard M-1 limit:LI: accepted by LI/HH
  6s alarm LI/H unacknowledged #1
9s
",
    );
}

#[test]
fn an_outer_limit_that_joins_an_inner_one_in_a_later_episode_is_no_second_repeat() {
    check(
        draft(),
        "
1s LI 96
  1s alarm LI/HH unacknowledged #1
  1s hazard M-1 limit:LI: rectifying by LI/HH
2s LI 50
  2s alarm LI/HH returned #1
  2s hazard M-1 limit:LI: rectifying by LI/HH returned
3s LI 86
  8s alarm LI/H unacknowledged #1
  8s hazard M-1 limit:LI: rectifying by LI/HH repeats 1
9s LI 96
  9s alarm LI/HH unacknowledged #2
",
    );
}
