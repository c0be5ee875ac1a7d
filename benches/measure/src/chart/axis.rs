//! The axis of the chart: linear or logarithmic, with round numbers as ticks.

/// An axis in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) is_logarithmic: bool,
    /// The values that have a line and a number. The first and the last are the ends of the axis.
    pub(super) ticks: Vec<f64>,
}

/// The axis is logarithmic when the largest value exceeds this multiple of the smallest: a linear
/// axis would squeeze the small values together.
const MOST_LINEAR: f64 = 10.0;

/// When the axis exceeds this multiple of its beginning, only powers of ten have a number.
const MOST_WITH_ALL_NUMBERS: f64 = 2000.0;

impl Axis {
    /// An axis that holds all values from `min` to `max`. A linear axis begins at 0.
    pub(super) fn new(min: f64, max: f64) -> Self {
        let is_logarithmic = max > min * MOST_LINEAR;
        Self {
            is_logarithmic,
            ticks: if is_logarithmic { logarithmic(min, max) } else { linear(max) },
        }
    }

    /// The position of a value on the axis: 0 is the left end, 1 the right end.
    pub(super) fn position(&self, value: f64) -> f64 {
        let (first, last) =
            (self.ticks.first().copied().unwrap_or(0.0), self.ticks.last().copied().unwrap_or(1.0));
        let share = if self.is_logarithmic {
            (value / first).ln() / (last / first).ln()
        } else {
            (value - first) / (last - first)
        };
        share.clamp(0.0, 1.0)
    }
}

/// 1, 2, 5, 10, …: from a nanosecond to hours, in milliseconds.
fn round_numbers() -> impl Iterator<Item = f64> {
    (-6..=7).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
}

fn logarithmic(min: f64, max: f64) -> Vec<f64> {
    let first = round_numbers().take_while(|number| *number <= min).last().unwrap_or(min);
    let mut ticks: Vec<_> = round_numbers()
        .skip_while(|number| *number < first)
        .take_while(|number| *number < max)
        .collect();
    ticks.extend(round_numbers().find(|number| *number >= max));
    if max > first * MOST_WITH_ALL_NUMBERS {
        let ends = [ticks[0], ticks[ticks.len() - 1]];
        ticks.retain(|tick| ends.contains(tick) || tick.log10().fract().abs() < 1e-9);
    }
    ticks
}

fn linear(max: f64) -> Vec<f64> {
    let step = round_numbers().find(|step| step * 6.0 >= max).unwrap_or(max);
    let below = (0_u32..).map(|number| f64::from(number) * step).take_while(|tick| *tick < max);
    let mut ticks: Vec<_> = below.collect();
    ticks.push(ticks.last().copied().unwrap_or(0.0) + step);
    ticks
}

/// The text of a tick: 0.2, 1, 500.
pub(super) fn label(tick: f64) -> String {
    let text = format!("{tick:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        axis.ticks.iter().map(|tick| label(*tick)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn near_values_have_a_linear_axis_from_zero() {
        let axis = Axis::new(0.8, 4.2);
        assert_eq!((axis.is_logarithmic, labels(&axis).as_str()), (false, "0 1 2 3 4 5"));
        assert!((axis.position(2.5) - 0.5).abs() < 1e-9);
        assert_eq!(labels(&Axis::new(0.06, 0.3)), "0 0.05 0.1 0.15 0.2 0.25 0.3");
    }

    #[test]
    fn distant_values_have_a_logarithmic_axis() {
        let axis = Axis::new(1.3, 440.07);
        assert_eq!(
            (axis.is_logarithmic, labels(&axis).as_str()),
            (true, "1 2 5 10 20 50 100 200 500")
        );
        assert!(
            (axis.position(1.0) - 0.0).abs() < 1e-9 && (axis.position(500.0) - 1.0).abs() < 1e-9
        );
        assert!((axis.position(10.0) - 10_f64.ln() / 500_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn a_long_axis_has_fewer_numbers() {
        assert_eq!(labels(&Axis::new(0.21, 4400.0)), "0.2 1 10 100 1000 5000");
    }
}
