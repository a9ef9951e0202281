//! Whether results are those that they should be: number by number, or by a digest where the two were computed by different processes.

use std::hash::Hasher;

use super::loops::Output;

/// How results differ that should not, if they do. A GPU fuses and reorders, and a rounding may decide a branch: there, one number in
/// fifty may be any, and the others may be off by 2⁻¹¹ of the largest, which is what WGSL allows the sine.
pub(super) fn difference(expected: &[Output], got: &[Output], gpu: bool) -> Option<String> {
    for (expected, got) in expected.iter().zip(got) {
        let (n, others, wrong): (usize, usize, usize) = match (expected, got) {
            (Output::F32(expected), Output::F32(got)) => {
                let finite = expected.iter().filter(|x| x.is_finite());
                let largest = finite.fold(0.0_f32, |largest, x| largest.max(x.abs()));
                let same = |(e, g): &(&f32, &f32)| {
                    e.to_bits() == g.to_bits() || (gpu && (*e - *g).abs() <= largest * 2.0_f32.powi(-11))
                };
                let wrong = expected.iter().zip(got).filter(|pair| !same(pair)).count();
                (expected.len(), got.len(), wrong)
            }
            (Output::U32(expected), Output::U32(got)) => {
                let wrong = expected.iter().zip(got).filter(|(e, g)| e != g).count();
                (expected.len(), got.len(), wrong)
            }
            _ => return Some("numbers of another type".into()),
        };
        if n != others {
            return Some(format!("{others} numbers, expected {n}"));
        }
        if if gpu { 50 * wrong > n } else { wrong > 0 } {
            return Some(format!("{wrong} of {n} numbers differ"));
        }
    }
    None
}

/// A number that results have in common which are the same bit for bit, in every process of one build.
pub(super) fn digest(output: &[Output]) -> u64 {
    // Of fixed keys, unlike that of a `HashMap`.
    let mut hasher = std::hash::DefaultHasher::new();
    for array in output {
        let bytes: &[u8] = match array {
            Output::F32(numbers) => bytemuck::cast_slice(numbers),
            Output::U32(numbers) => bytemuck::cast_slice(numbers),
        };
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_a_difference_on_the_cpu_and_a_rounding_is_none_on_a_gpu() {
        let expected = vec![Output::F32(vec![1.0; 100]), Output::U32(vec![7; 100])];
        assert_eq!(difference(&expected, &expected, false), None);
        let mut near = expected.clone();
        if let Output::F32(x) = &mut near[0] {
            x[3] += f32::EPSILON;
        }
        assert_eq!(difference(&expected, &near, false).as_deref(), Some("1 of 100 numbers differ"));
        assert_eq!(difference(&expected, &near, true), None);
        if let Output::U32(x) = &mut near[1] {
            x[..3].fill(0);
        }
        assert_eq!(difference(&expected, &near, true).as_deref(), Some("3 of 100 numbers differ"));
        assert_eq!(difference(&expected[1..], &near[1..], false).as_deref(), Some("3 of 100 numbers differ"));
        let nan = vec![Output::F32(vec![f32::NAN; 3])];
        assert_eq!(difference(&nan, &nan, false), None);
        assert!(difference(&nan, &[Output::F32(vec![0.0; 2])], false).is_some());
    }

    #[test]
    fn a_digest_is_of_every_bit_and_of_where_arrays_end() {
        let of =
            |arrays: &[&[u32]]| digest(&arrays.iter().map(|a| Output::U32(a.to_vec())).collect::<Vec<_>>());
        let [one, bit, cut] = [of(&[&[1, 2], &[3]]), of(&[&[1, 2], &[2]]), of(&[&[1], &[2, 3]])];
        assert!(one == of(&[&[1, 2], &[3]]) && one != bit && one != cut);
        // Zeros of either sign are equal, and not the same.
        assert_ne!(digest(&[Output::F32(vec![0.0])]), digest(&[Output::F32(vec![-0.0])]));
    }
}
