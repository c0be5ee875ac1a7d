//! The shortest schedule that still breaks a promise, by leaving out steps.

use super::step::Step;

/// Leaves out steps, many at once at first, for as long as the rest breaks a promise.
pub(super) fn shortest(steps: &[Step], breaks: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let before = steps.len();
        let mut from = steps.len();
        // From the end on: the last steps follow the violation.
        while from > 0 {
            let begin = from.saturating_sub(size);
            let mut fewer = steps.clone();
            fewer.drain(begin..from);
            if breaks(&fewer) {
                steps = fewer;
            }
            from = begin.min(steps.len());
        }
        if steps.len() == before || size > 1 {
            size /= 2;
        }
    }
    shorten_waits(&mut steps, breaks);
    steps
}

fn shorten_waits(steps: &mut [Step], breaks: impl Fn(&[Step]) -> bool) {
    for index in 0..steps.len() {
        while let Step::Wait(time) = steps[index]
            && time > 1
        {
            steps[index] = Step::Wait(time / 2);
            if !breaks(steps) {
                steps[index] = Step::Wait(time);
                break;
            }
        }
    }
}
