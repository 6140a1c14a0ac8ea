//! The text of a float: its shortest digits that read back as the same float.

use std::fmt::Write;

/// Below this, neighbouring floats are at most 1 apart, so that every whole number has its digits.
pub(super) const EXACT: u64 = 1 << 53;
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// How a float that is a whole number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// `1.0`
    WithFraction,
    /// `1`
    Digits,
}

/// Appends the digits of a finite number: with an exponent of at least two digits below 0.0001 and from 10^16 on.
pub(super) fn write_float(number: f64, whole: Whole, out: &mut String) {
    if whole == Whole::Digits && number.fract() == 0.0 && number.abs() < EXACT_FLOAT {
        write!(out, "{number}").expect("a string takes everything");
        return;
    }
    let start = out.len();
    write!(out, "{number:?}").expect("a string takes everything");
    let Some(e) = out[start..].find('e').map(|found| start + found) else { return };
    let exponent = out.split_off(e + 1);
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', &*exponent), |digits| ('-', digits));
    write!(out, "{sign}{digits:0>2}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: f64, whole: Whole) -> String {
        let mut out = String::new();
        write_float(number, whole, &mut out);
        out
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-1234.5, "-1234.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(text(number, Whole::WithFraction), expected);
        }
    }

    #[test]
    fn whole_numbers_may_be_written_without_a_fraction() {
        for (number, expected) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (1.5, "1.5"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (9_007_199_254_740_992.0, "9007199254740992.0"),
            (1e16, "1e+16"),
        ] {
            assert_eq!(text(number, Whole::Digits), expected);
        }
    }
}
