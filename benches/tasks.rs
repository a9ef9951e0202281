//! Loops over closures: what an item costs beside its body, against the plain loop and rayon's `par_iter`; and what a task costs.

mod harness;

use std::hint::black_box;
use std::sync::mpsc::channel;

use forall::tasks::Pool;
use harness::{Table, sizes, testing};
use rayon::prelude::*;

fn trivial(i: u64) -> u64 {
    i.wrapping_mul(i) ^ 0x5555
}

/// A chain of so many multiplications that no compiler shortens, 5 or 6 cycles each.
fn chain(seed: u64, length: u32) -> u64 {
    (0..length).fold(seed, |x, _| (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9))
}

fn maps(title: &str, n: usize, pool: &Pool, body: impl Fn(u64) -> u64 + Send + Sync + Copy + 'static) {
    let n64 = black_box(n as u64);
    let expected: Vec<u64> = (0..n64).map(body).collect();
    let (expected, sum) = (&expected, expected.iter().copied().reduce(u64::wrapping_add));
    let mut table = Table::new(title, n, 8);
    table.row("plain loop", move || assert!(black_box((0..n64).map(body).collect::<Vec<u64>>()).len() == n));
    table.row("Pool::map", {
        let mut checked = false;
        move || {
            let out = black_box(pool.map(0..n64, body).expect("no item fails"));
            assert!(out.len() == n && (checked || out == *expected));
            checked = true;
        }
    });
    table.row("rayon par_iter", move || {
        assert!(black_box((0..n64).into_par_iter().map(body).collect::<Vec<u64>>()).len() == n);
    });
    table.row("plain fold", move || assert_eq!((0..n64).map(body).reduce(u64::wrapping_add), sum));
    table.row("Pool::map_reduce", move || {
        assert_eq!(pool.map_reduce(0..n64, body, u64::wrapping_add).expect("no item fails"), sum);
    });
    table.row("Pool::imap", move || {
        let results = pool.imap(0..n64, body).map(|result| result.expect("no item fails"));
        assert_eq!(results.reduce(u64::wrapping_add), sum);
    });
    table.print("rayon par_iter");
}

fn main() {
    let pool = Pool::default();
    for n in sizes(&[10, 1_000, 100_000, 1_000_000]) {
        maps("trivial body", n, &pool, trivial);
    }
    for n in sizes(&[10_000]) {
        let length = black_box(if testing() { 1 } else { 6_000 });
        maps("body of about 10 µs", n, &pool, move |i| chain(i, length));
    }

    let mut table = Table::new("one task, waited for", 1, 0);
    table.row("thread", || {
        assert_eq!(std::thread::spawn(|| black_box(7)).join().expect("it does not panic"), 7)
    });
    table.row("Pool::submit", || assert_eq!(pool.submit(|| black_box(7)).wait(), Ok(7)));
    table.row("rayon spawn, channel", || {
        let (sender, receiver) = channel();
        rayon::spawn(move || _ = sender.send(black_box(7)));
        assert_eq!(receiver.recv(), Ok(7));
    });
    table.print("rayon spawn, channel");

    let many = if testing() { 10 } else { 10_000 };
    let mut table = Table::new("tasks at once", many, 0);
    table.row("rayon spawn, channel", || {
        let (sender, receiver) = channel();
        for i in 0..many {
            let sender = sender.clone();
            rayon::spawn(move || _ = sender.send(i));
        }
        drop(sender);
        assert_eq!(receiver.iter().sum::<usize>(), many * (many - 1) / 2);
    });
    table.row("Pool::submit, wait_all", || {
        let tasks = (0..many).map(|i| pool.submit(move || i));
        let sum: usize = forall::tasks::wait_all(tasks).into_iter().map(|i| i.expect("no task fails")).sum();
        assert_eq!(sum, many * (many - 1) / 2);
    });
    table.print("rayon spawn, channel");
}
