//! Areas by their corners: whether a place lies within, and whether the corners make an area at all.
//!
//! A place on an edge or a corner is within: of two zones that share a fence, who stands at it counts in both.

/// What keeps corners from making an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    TooFew,
    /// Two sides, by the number of their first corners from 1, have a place in common that is no corner of both.
    Crosses(usize, usize),
    /// All corners on one line.
    Flat,
}

type Corner = (f64, f64);

/// Twice the area of the triangle; above zero where `c` lies to the left of the way from `a` to `b`.
fn turn(a: Corner, b: Corner, c: Corner) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

fn is_between(a: Corner, b: Corner, c: Corner) -> bool {
    let within = |from: f64, to: f64, at: f64| from.min(to) <= at && at <= from.max(to);
    within(a.0, b.0, c.0) && within(a.1, b.1, c.1)
}

fn is_on_side(a: Corner, b: Corner, c: Corner) -> bool {
    turn(a, b, c) == 0.0 && is_between(a, b, c)
}

/// Each side with the corners that it joins; the last comes back to the first.
fn sides(corners: &[Corner]) -> impl Iterator<Item = (Corner, Corner)> + '_ {
    corners.iter().copied().zip(corners.iter().copied().cycle().skip(1))
}

/// By the number of sides that a ray to the right meets; edges belong to the area.
pub(super) fn holds(corners: &[Corner], at: Corner) -> bool {
    let mut inside = false;
    for (a, b) in sides(corners) {
        if is_on_side(a, b, at) {
            return true;
        }
        if (a.1 > at.1) != (b.1 > at.1) {
            // The ray meets a side that goes up where the place is on its left, one that goes down on its right.
            inside ^= (turn(a, b, at) > 0.0) == (b.1 > a.1);
        }
    }
    inside
}

fn touch((a, b): (Corner, Corner), (c, d): (Corner, Corner)) -> bool {
    let differ = |x: f64, y: f64| (x > 0.0 && y < 0.0) || (x < 0.0 && y > 0.0);
    let crosses = differ(turn(a, b, c), turn(a, b, d)) && differ(turn(c, d, a), turn(c, d, b));
    crosses || is_on_side(a, b, c) || is_on_side(a, b, d) || is_on_side(c, d, a) || is_on_side(c, d, b)
}

/// `None`: they make an area.
pub(super) fn flaw(corners: &[Corner]) -> Option<Flaw> {
    if corners.len() < 3 {
        return Some(Flaw::TooFew);
    }
    let sides: Vec<_> = sides(corners).collect();
    if let Some((first, rest)) = corners.split_first()
        && let Some((second, rest)) = rest.split_first()
        && rest.iter().all(|corner| turn(*first, *second, *corner) == 0.0)
    {
        return Some(Flaw::Flat);
    }
    for (at, one) in sides.iter().enumerate() {
        for (other_at, other) in sides.iter().enumerate().skip(at + 1) {
            let meets = if one.1 == other.0 {
                // The next side: it may only not go back along this one.
                is_on_side(one.0, one.1, other.1) || is_on_side(other.0, other.1, one.0)
            } else if other.1 == one.0 {
                is_on_side(one.0, one.1, other.0) || is_on_side(other.0, other.1, one.1)
            } else {
                touch(*one, *other)
            };
            if meets {
                return Some(Flaw::Crosses(at + 1, other_at + 1));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [Corner; 4] = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)];
    /// A U that is open at the top.
    const BAY: [Corner; 8] = [
        (0.0, 0.0),
        (30.0, 0.0),
        (30.0, 20.0),
        (20.0, 20.0),
        (20.0, 10.0),
        (10.0, 10.0),
        (10.0, 20.0),
        (0.0, 20.0),
    ];

    #[test]
    fn edges_and_corners_are_within_whichever_way_round_the_corners_go() {
        let mut other_way = SQUARE;
        other_way.reverse();
        for corners in [SQUARE, other_way] {
            for within in [(5.0, 5.0), (0.0, 0.0), (10.0, 10.0), (10.0, 5.0), (5.0, 0.0), (0.0, 3.0)] {
                assert!(holds(&corners, within), "{within:?}");
            }
            for out in [(10.001, 5.0), (-0.001, 0.0), (5.0, -1.0), (11.0, 10.0), (-1.0, 10.0), (-5.0, 0.0)] {
                assert!(!holds(&corners, out), "{out:?}");
            }
        }
    }

    #[test]
    fn a_bay_is_outside_of_what_goes_round_it() {
        assert!(!holds(&BAY, (15.0, 15.0)));
        assert!(holds(&BAY, (15.0, 10.0)));
        assert!(holds(&BAY, (5.0, 15.0)) && holds(&BAY, (25.0, 15.0)));
        assert!(!holds(&BAY, (15.0, 20.0)));
        assert_eq!(flaw(&BAY), None);
    }

    #[test]
    fn corners_that_make_no_area_are_told_how() {
        assert_eq!(flaw(&SQUARE), None);
        assert_eq!(flaw(&SQUARE[..2]), Some(Flaw::TooFew));
        assert_eq!(flaw(&[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]), Some(Flaw::Flat));
        let bow = [(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)];
        assert_eq!(flaw(&bow), Some(Flaw::Crosses(1, 3)));
        let spike = [(0.0, 0.0), (10.0, 0.0), (5.0, 0.0), (5.0, 5.0)];
        assert!(matches!(flaw(&spike), Some(Flaw::Crosses(1, 2))));
        let twice = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (10.0, 0.0), (5.0, -5.0)];
        assert!(matches!(flaw(&twice), Some(Flaw::Crosses(_, _))));
        let closed = [SQUARE[0], SQUARE[1], SQUARE[2], SQUARE[3], SQUARE[0]];
        assert!(matches!(flaw(&closed), Some(Flaw::Crosses(_, _))));
    }

    proptest::proptest! {
        /// The ray to the right says the same as the one to the left.
        #[test]
        fn both_rays_agree(x in -5..35i32, y in -5..25i32) {
            let at = (f64::from(x), f64::from(y));
            let mirrored: Vec<Corner> = BAY.iter().map(|(x, y)| (-x, *y)).collect();
            proptest::prop_assert_eq!(holds(&BAY, at), holds(&mirrored, (-at.0, at.1)));
        }
    }
}
