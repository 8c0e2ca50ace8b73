/// A number as it is written, times a power of ten: `None` when that is no integer, or has more than 38 digits.
pub(crate) fn scaled(number: &str, scale: i32) -> Option<i128> {
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (digits, exponent) = match number.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, self::exponent(exponent)),
        None => (number, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = 0_i128;
    // Zeros count when another digit follows them. The last ones move the point.
    let mut zeros = 0_u32;
    for digit in whole
        .bytes()
        .chain(fraction.bytes())
        .map(|digit| i128::from(digit - b'0'))
    {
        if digit == 0 {
            zeros += u32::from(value != 0 || zeros > 0);
            continue;
        }
        value = match value {
            0 => digit,
            _ => value
                .checked_mul(10_i128.checked_pow(zeros + 1)?)?
                .checked_add(digit)?,
        };
        zeros = 0;
    }
    if value == 0 {
        return Some(0);
    }
    let place =
        i64::from(scale) + i64::from(exponent) + i64::from(zeros) - i64::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(u32::try_from(place).ok()?)?;
    let value = value.checked_mul(power)?;
    Some(if is_negative { -value } else { value })
}

/// An exponent, or one that is as good where it has too many digits.
fn exponent(text: &str) -> i32 {
    text.parse().unwrap_or(match text.starts_with('-') {
        true => i32::MIN / 2,
        false => i32::MAX / 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_every_digit_or_is_none() {
        for (number, scale, value) in [
            ("0", 0, Some(0)),
            ("-0", 5, Some(0)),
            ("0e999999999999", 0, Some(0)),
            ("12", 0, Some(12)),
            ("-12.50", 1, Some(-125)),
            ("12.50", 0, None),
            ("1e3", 0, Some(1000)),
            ("1.5E+1", 0, Some(15)),
            ("1500e-2", 0, Some(15)),
            ("1500e-3", 0, None),
            ("0.000001", 6, Some(1)),
            ("0.0000001", 6, None),
            ("1e-999999999999", 38, None),
            ("1e999999999999", 0, None),
            (
                "99999999999999999999999999999999999999",
                0,
                Some(10_i128.pow(38) - 1),
            ),
            (
                "9.9999999999999999999999999999999999999",
                37,
                Some(10_i128.pow(38) - 1),
            ),
            ("1000000000000000000000000000000000000000000", 0, None),
            ("123456789012345678901234567890123456789012345", 0, None),
            ("100.001", 3, Some(100_001)),
            (
                "1.000000000000000000000000000000000000000000000000000",
                2,
                Some(100),
            ),
        ] {
            assert_eq!(scaled(number, scale), value, "{number} at {scale}");
        }
    }
}
