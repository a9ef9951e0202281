//! Shaders as people write them: all of them are lowered, verified and optimised.

use super::{POISON, lowered, run_workgroups};
use crate::spmd::ir::Order;
use crate::spmd::passes;

macro_rules! shaders {
    ($($name:ident $order:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let source = include_str!(concat!("shaders/", stringify!($name), ".wgsl"));
            let mut program = lowered(source).unwrap_or_else(|error| {
                let place = error.span.location(source);
                panic!("line {}: {}", place.line_number, error.construct)
            });
            assert_eq!(program.order, Order::$order);
            passes::optimise(&mut program);
            program.verify().unwrap_or_else(|rule| panic!("{rule}\n{program}"));
        }
    )*};
}

shaders! {
    bitonic_sort Workgroups,
    bvh Rows,
    decoupled_scan Workgroups,
    features Workgroups,
    fft Workgroups,
    fluid Workgroups,
    hash_table Workgroups,
    histogram Workgroups,
    matmul Workgroups,
    particles Workgroups,
    sorts Workgroups,
}

/// Numbers without a pattern.
fn noise(at: u32) -> u32 {
    let mixed = at.wrapping_mul(0x9e37_79b9) ^ (at << 7);
    mixed ^ (mixed >> 15)
}

#[test]
fn bitonic_sort_sorts() {
    let pairs: Vec<u32> = (0..700).flat_map(|at| [noise(at), at]).collect();
    let mut buffers = [pairs, vec![700, 0, 0, 1]];
    run_workgroups(include_str!("shaders/bitonic_sort.wgsl"), &mut buffers, [2, 1, 1]);
    // Tiles of 512, filled up with a key that is above all: the first one is whole.
    let mut tile: Vec<u32> = (0..512).map(noise).collect();
    tile.sort_unstable_by_key(|key| std::cmp::Reverse(*key));
    let keys: Vec<u32> = buffers[0].chunks(2).take(512).map(|pair| pair[0]).collect();
    assert_eq!(keys, tile);
    assert!(buffers[0].chunks(2).take(512).all(|pair| pair[0] == noise(pair[1])));
}

#[test]
fn decoupled_scan_scans() {
    // Five workgroups of 128 invocations of 4 elements, the last one in part.
    let input: Vec<u32> = (0..4 * 600).map(|at| noise(at) >> 12).collect();
    let sums = input.iter().scan(0_u32, |sum, x| {
        *sum = sum.wrapping_add(*x);
        Some(*sum)
    });
    let expected: Vec<u32> = sums.collect();
    let mut buffers = [input, vec![POISON; 2400], vec![0; 15], vec![0]];
    run_workgroups(include_str!("shaders/decoupled_scan.wgsl"), &mut buffers, [5, 1, 1]);
    assert_eq!(buffers[1], expected);
}

#[test]
fn histogram_counts() {
    let pixels: Vec<u32> = (0..3000).map(noise).collect();
    let mut expected = vec![0; 768];
    for pixel in &pixels {
        for channel in 0..3 {
            expected[channel * 256 + (pixel >> (8 * channel) & 255) as usize] += 1;
        }
    }
    let mut buffers = [pixels, vec![0; 768]];
    run_workgroups(include_str!("shaders/histogram.wgsl"), &mut buffers, [2, 2, 1]);
    assert_eq!(buffers[1], expected);
}

#[test]
fn hash_table_counts() {
    let keys: Vec<u32> = (0..1000).map(|at| noise(at) % 61).collect();
    let mut buffers = [[u32::MAX, 0].repeat(128), keys.clone(), vec![0]];
    run_workgroups(include_str!("shaders/hash_table.wgsl"), &mut buffers, [3, 1, 1]);
    let mut found: Vec<(u32, u32)> =
        buffers[0].chunks(2).filter(|slot| slot[0] != u32::MAX).map(|slot| (slot[0], slot[1])).collect();
    found.sort_unstable();
    let count = |key| keys.iter().filter(|k| **k == key).count() as u32;
    let expected: Vec<(u32, u32)> =
        (0..61).map(|key| (key, count(key))).filter(|entry| entry.1 > 0).collect();
    assert_eq!((found, buffers[2][0]), (expected, 0));
}

#[test]
fn fft_of_a_wave_is_a_line() {
    // exp(2 pi i 5 j / 512): all of it in frequency 5, times 512 / sqrt(512). Each of the 9 stages adds at most a few
    // roundings of values that grow to 22.6, and sin and cos are within 2^-11 of theirs at worst: 0.1 is far above it.
    let wave: Vec<u32> = (0..512)
        .flat_map(|j| {
            let t = std::f32::consts::TAU * 5.0 * j as f32 / 512.0;
            [t.cos().to_bits(), t.sin().to_bits()]
        })
        .collect();
    let mut buffers = [wave];
    run_workgroups(include_str!("shaders/fft.wgsl"), &mut buffers, [1; 3]);
    for (at, bits) in buffers[0].iter().enumerate() {
        let expected = if at == 10 { 512.0_f32.sqrt() } else { 0.0 };
        assert!((f32::from_bits(*bits) - expected).abs() < 0.1, "{at}: {}", f32::from_bits(*bits));
    }
}
