//! Shamir's secret sharing over GF(2⁸), in the format of Vault's unseal keys.
//!
//! Every byte of the secret is the constant term of a polynomial of degree `threshold - 1` with random coefficients; a share
//! holds the values of all these polynomials at one point, and the point itself as its last byte. Any `threshold` shares
//! give the polynomials back (Lagrange interpolation at 0), fewer say nothing about the secret. Nothing in a share tells
//! whether it is genuine: only the reconstructed secret does, so whoever combines must compare it with something.
//!
//! The field is that of AES: polynomials over GF(2) modulo x⁸ + x⁴ + x³ + x + 1. See A. Shamir, *How to share a secret*,
//! CACM 22 (1979). The randomness comes from the lab's seed: good for practice, not for real secrets.

/// Why shares cannot be made or combined. The wording of the combination errors is what Vault's API shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShamirError {
    /// The threshold must be at least 2 and at most the number of shares; there are at most 255 shares.
    #[error("a threshold of {threshold} does not fit {shares} shares")]
    Scheme {
        /// How many shares were asked for.
        shares: u8,
        /// How many were to be needed.
        threshold: u8,
    },
    /// There is nothing to share.
    #[error("cannot split an empty secret")]
    EmptySecret,
    /// One share is none.
    #[error("less than two parts cannot be used to reconstruct the secret")]
    TooFew,
    /// A share has a value and a point.
    #[error("parts must be at least two bytes")]
    TooShort,
    /// Shares of one secret have one length.
    #[error("all parts must be the same length")]
    LengthsDiffer,
    /// The same point twice.
    #[error("duplicate part detected")]
    Duplicate,
}

/// Splits `secret` into `shares` shares, any `threshold` of which give it back.
///
/// # Errors
/// [`ShamirError::Scheme`] for an impossible scheme, [`ShamirError::EmptySecret`].
pub(crate) fn split(
    secret: &[u8],
    shares: u8,
    threshold: u8,
    random: &mut fastrand::Rng,
) -> Result<Vec<Vec<u8>>, ShamirError> {
    if threshold < 2 || threshold > shares {
        return Err(ShamirError::Scheme { shares, threshold });
    }
    if secret.is_empty() {
        return Err(ShamirError::EmptySecret);
    }
    // Points must differ from each other and from 0, where the secret is.
    let mut points: Vec<u8> = (1..=255).collect();
    random.shuffle(&mut points);
    points.truncate(usize::from(shares));

    let mut parts: Vec<Vec<u8>> = points
        .iter()
        .map(|_| Vec::with_capacity(secret.len() + 1))
        .collect();
    let mut polynomial = vec![0_u8; usize::from(threshold)];
    for byte in secret {
        polynomial[0] = *byte;
        random.fill(&mut polynomial[1..]);
        for (part, point) in parts.iter_mut().zip(&points) {
            part.push(evaluate(&polynomial, *point));
        }
    }
    for (part, point) in parts.iter_mut().zip(points) {
        part.push(point);
    }
    Ok(parts)
}

/// The secret that `parts` belong to, provided they are genuine and enough.
///
/// # Errors
/// When the parts cannot be shares of one secret.
pub(crate) fn combine(parts: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, ShamirError> {
    let [first, _, ..] = parts else {
        return Err(ShamirError::TooFew);
    };
    let length = first.as_ref().len();
    if length < 2 {
        return Err(ShamirError::TooShort);
    }
    let mut points = Vec::with_capacity(parts.len());
    for part in parts {
        let part = part.as_ref();
        if part.len() != length {
            return Err(ShamirError::LengthsDiffer);
        }
        let point = part[length - 1];
        if points.contains(&point) {
            return Err(ShamirError::Duplicate);
        }
        points.push(point);
    }
    // The weight of each share at 0 depends on the points only: Π x_j / (x_i - x_j), and minus is plus in this field.
    let weights: Vec<u8> = points
        .iter()
        .enumerate()
        .map(|(own, x)| {
            points
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != own)
                .fold(1, |weight, (_, y)| multiply(weight, divide(*y, x ^ y)))
        })
        .collect();
    Ok((0..length - 1)
        .map(|at| {
            parts.iter().zip(&weights).fold(0, |sum, (part, weight)| {
                sum ^ multiply(part.as_ref()[at], *weight)
            })
        })
        .collect())
}

/// The value of the polynomial at `x`, by Horner's rule.
fn evaluate(polynomial: &[u8], x: u8) -> u8 {
    polynomial
        .iter()
        .rev()
        .fold(0, |value, coefficient| multiply(value, x) ^ coefficient)
}

/// The product in the field.
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        let overflow = a & 0x80 != 0;
        a <<= 1;
        if overflow {
            a ^= 0x1b;
        }
        b >>= 1;
    }
    product
}

/// The quotient in the field; `b` is not 0 because points differ.
fn divide(a: u8, b: u8) -> u8 {
    // The multiplicative group has 255 elements, so b²⁵⁴ is the inverse of b.
    let inverse = (0..254).fold(1, |power, _| multiply(power, b));
    multiply(a, inverse)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, section 4.2: {57} · {83} = {c1}, and {53} is the inverse of {ca}.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(divide(1, 0x53), 0xca);
        for a in 1..=255 {
            assert_eq!(multiply(a, divide(1, a)), 1);
        }
    }

    #[test]
    fn shares_of_another_maker_are_combined() {
        // The polynomial of the only byte is 0x42 + 0x07·x, worked out by hand.
        let parts = [[0x42 ^ 0x07, 1], [0x42 ^ 0x0e, 2]];
        assert_eq!(combine(&parts).unwrap(), [0x42]);
    }

    #[test]
    fn impossible_schemes_and_parts_are_refused() {
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(
            split(b"x", 5, 1, &mut random),
            Err(ShamirError::Scheme {
                shares: 5,
                threshold: 1
            })
        );
        assert_eq!(
            split(b"x", 2, 3, &mut random),
            Err(ShamirError::Scheme {
                shares: 2,
                threshold: 3
            })
        );
        assert_eq!(split(b"", 5, 3, &mut random), Err(ShamirError::EmptySecret));
        assert_eq!(combine(&[[1_u8, 2]]), Err(ShamirError::TooFew));
        assert_eq!(combine(&[[1_u8], [2]]), Err(ShamirError::TooShort));
        assert_eq!(combine(&[[1_u8, 2], [3, 2]]), Err(ShamirError::Duplicate));
        assert_eq!(
            combine(&[vec![1_u8, 2], vec![1, 2, 3]]),
            Err(ShamirError::LengthsDiffer)
        );
    }

    proptest! {
        #[test]
        fn any_threshold_of_the_shares_gives_the_secret_back(
            secret in prop::collection::vec(any::<u8>(), 1..64),
            (shares, threshold) in (2_u8..=12).prop_flat_map(|shares| (Just(shares), 2..=shares)),
            seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut parts = split(&secret, shares, threshold, &mut random).unwrap();
            random.shuffle(&mut parts);
            parts.truncate(usize::from(threshold));
            prop_assert_eq!(combine(&parts).unwrap(), secret);
        }

        #[test]
        fn one_share_less_gives_something_else(
            secret in prop::collection::vec(any::<u8>(), 32),
            threshold in 3_u8..=6,
            seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut parts = split(&secret, 6, threshold, &mut random).unwrap();
            parts.truncate(usize::from(threshold) - 1);
            prop_assert_ne!(combine(&parts).unwrap(), secret);
        }

        #[test]
        fn one_wrong_byte_gives_something_else(
            secret in prop::collection::vec(any::<u8>(), 32),
            place in 0_usize..32,
            flip in 1_u8..=255,
            seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut parts = split(&secret, 5, 3, &mut random).unwrap();
            parts.truncate(3);
            parts[1][place] ^= flip;
            prop_assert_ne!(combine(&parts).unwrap(), secret);
        }
    }
}
