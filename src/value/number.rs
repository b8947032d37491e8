//! Numbers: integers and floats compared by exact value, never through double.

use std::cmp::Ordering;

/// An integer or a float.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A signed 64-bit integer.
    Int(i64),
    /// An IEEE double.
    Float(f64),
}

/// 2^63: the first float above every `i64`.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

impl Number {
    /// Exact order by numeric value; `None` when one side is NaN.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => compare_int_float(a, b),
            (Self::Float(a), Self::Int(b)) => compare_int_float(b, a).map(Ordering::reverse),
        }
    }

    /// Whether both stand for the same number. NaN equals NaN.
    #[must_use]
    pub fn equals(self, other: Self) -> bool {
        match self.compare(other) {
            Some(order) => order == Ordering::Equal,
            None => self.is_nan() && other.is_nan(),
        }
    }

    /// The int this stands for, if there is exactly one.
    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Float(value) => {
                let in_range = (-TWO_63..TWO_63).contains(&value);
                (in_range && value.trunc() == value).then_some(value as i64)
            }
        }
    }

    /// The float this stands for, if a double holds it exactly.
    #[must_use]
    pub fn as_float(self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(value),
            Self::Int(value) => {
                let float = value as f64;
                self.equals(Self::Float(float)).then_some(float)
            }
        }
    }

    fn is_nan(self) -> bool {
        matches!(self, Self::Float(value) if value.is_nan())
    }
}

fn compare_int_float(a: i64, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        None
    } else if b >= TWO_63 {
        Some(Ordering::Less)
    } else if b < -TWO_63 {
        Some(Ordering::Greater)
    } else {
        // In range, so the integral part is exact; the fraction breaks a tie.
        let whole = b.trunc();
        Some(
            a.cmp(&(whole as i64))
                .then_with(|| 0.0_f64.partial_cmp(&(b - whole)).unwrap_or(Ordering::Equal)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_int_and_a_float_compare_exactly_beyond_two_to_the_53() {
        let int = Number::Int((1 << 53) + 1);
        assert!(!int.equals(Number::Float((1_u64 << 53) as f64)));
        assert_eq!(int.compare(Number::Float((1_u64 << 53) as f64)), Some(Ordering::Greater));
        assert!(!Number::Int(i64::MAX).equals(Number::Float(TWO_63)));
        assert!(Number::Int(i64::MIN).equals(Number::Float(-TWO_63)));
    }

    #[test]
    fn fractions_infinities_and_nan_have_their_place() {
        assert_eq!(Number::Int(1).compare(Number::Float(1.5)), Some(Ordering::Less));
        assert_eq!(Number::Int(-1).compare(Number::Float(-1.5)), Some(Ordering::Greater));
        assert_eq!(Number::Int(0).compare(Number::Float(f64::INFINITY)), Some(Ordering::Less));
        assert!(Number::Int(0).equals(Number::Float(-0.0)));
        assert!(Number::Float(f64::NAN).equals(Number::Float(f64::NAN)));
        assert!(!Number::Int(0).equals(Number::Float(f64::NAN)));
    }
}
