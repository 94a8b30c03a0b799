//! Kubernetes quantities as numbers, so that `1024Mi` and `1Gi` are the same.
//!
//! Only reading is here: what a person wrote is never written in another form.

/// A quantity in billionths of its unit; the apiserver keeps nothing finer.
pub type Nano = i128;

const NANO: Nano = 1_000_000_000;

/// Reads `1Gi`, `500m`, `1e3`, `0.5`: the forms the apiserver takes. Finer parts than a billionth are rounded up, as
/// there. `None` for anything else, and for what does not fit 128 bits.
pub fn parse(text: &str) -> Option<Nano> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let scale = Scale::of(suffix)?;
    let digits: Nano = format!("{whole}{fraction}").parse().ok()?;
    let below = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator = digits.checked_mul(NANO)?.checked_mul(scale.up)?;
    let nano = div_up(numerator, below.checked_mul(scale.down)?);
    Some(if negative { -nano } else { nano })
}

/// Whole bytes of a quantity of memory or storage, `None` below zero.
pub fn bytes(text: &str) -> Option<u64> {
    u64::try_from(div_up(parse(text)?, NANO)).ok()
}

fn div_up(numerator: Nano, denominator: Nano) -> Nano {
    numerator / denominator + Nano::from(numerator % denominator > 0)
}

/// A suffix as a fraction.
struct Scale {
    up: Nano,
    down: Nano,
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        const UP: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DOWN: [&str; 4] = ["", "m", "u", "n"];
        let place = |list: &[&str]| {
            list.iter()
                .position(|s| *s == suffix)
                .and_then(|at| u32::try_from(at).ok())
        };
        if let Some(at) = place(&UP) {
            return Some(Self {
                up: 1000_i128.pow(at),
                down: 1,
            });
        }
        if let Some(at) = place(&BINARY) {
            return Some(Self {
                up: 1024_i128.pow(at),
                down: 1,
            });
        }
        if let Some(at) = place(&DOWN) {
            return Some(Self {
                up: 1,
                down: 1000_i128.pow(at),
            });
        }
        Self::exponent(suffix.strip_prefix(['e', 'E'])?)
    }

    /// Scientific notation. Beyond thirty digits nothing fits.
    fn exponent(text: &str) -> Option<Self> {
        let exponent: i32 = text.parse().ok()?;
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        Some(if exponent < 0 {
            Self { up: 1, down: power }
        } else {
            Self { up: power, down: 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_equal_in_every_spelling() {
        for same in [
            ["1Gi", "1024Mi", "1073741824"],
            ["0.5", "500m", "5e-1"],
            ["1k", "1000", "1e3"],
            ["1.5Gi", "1536Mi", "1610612736"],
            ["100M", "1e8", "100000k"],
            ["+1", "1.", "1.000"],
            ["-1", "-1000m", "-1.0"],
            ["1E", "1000P", "1e18"],
        ] {
            let read: Vec<_> = same.iter().map(|text| parse(text)).collect();
            assert!(
                read[0].is_some() && read.iter().all(|nano| *nano == read[0]),
                "{same:?} {read:?}"
            );
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in [
            "", ".", "Gi", "1gi", "1 Gi", "1GiB", "1.2.3", "abc", "1e", "--1", "1e999", "0x10", "1Gi ",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn bytes_are_rounded_up() {
        assert_eq!(bytes("64Mi"), Some(67_108_864));
        assert_eq!(bytes("1500m"), Some(2));
        assert_eq!(bytes("-1"), None);
    }
}
