//! Five machines and the truth about them. The numbers are of typical size, not of any product.

use super::{Loop, Random};
use crate::dispatch::machine::{CpuFacts, GpuFacts, LaneTimes};

/// Loops that take less on one thread are not shared by the pool's executor.
pub(super) const BREAK_EVEN_NS: f64 = 40_000.0;

/// What a machine is. Times in nanoseconds, rates per nanosecond.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub name: &'static str,
    call: f64,
    op: f64,
    threads: f64,
    fork_join: f64,
    speed_up: f64,
    /// Bytes per nanosecond of one thread in its cache, of one from memory, of all from memory.
    cache: f64,
    dram: f64,
    dram_all: f64,
    pub has_gpu: bool,
    gpu_call: f64,
    gpu_ops: f64,
    up: f64,
    down: f64,
    /// Elements at which the GPU is half busy.
    ramp: f64,
    /// Of one sample, as the standard deviation of its logarithm.
    pub noise: f64,
}

const DISCRETE: Machine = Machine {
    name: "discrete GPU",
    call: 400.0,
    op: 0.05,
    threads: 16.0,
    fork_join: 12_000.0,
    speed_up: 10.0,
    cache: 50.0,
    dram: 12.0,
    dram_all: 35.0,
    has_gpu: true,
    gpu_call: 80_000.0,
    gpu_ops: 4_000.0,
    up: 11.0,
    down: 9.0,
    ramp: 60_000.0,
    noise: 0.06,
};

pub(crate) const MACHINES: [Machine; 5] = [
    DISCRETE,
    Machine {
        name: "integrated GPU",
        threads: 8.0,
        speed_up: 5.0,
        dram_all: 25.0,
        gpu_call: 60_000.0,
        gpu_ops: 600.0,
        up: 8.0,
        down: 6.0,
        ramp: 15_000.0,
        ..DISCRETE
    },
    Machine {
        name: "slow readback",
        threads: 8.0,
        speed_up: 5.0,
        dram_all: 25.0,
        gpu_call: 150_000.0,
        gpu_ops: 1_500.0,
        up: 6.0,
        down: 0.4,
        ramp: 30_000.0,
        ..DISCRETE
    },
    Machine {
        name: "H100 class",
        threads: 32.0,
        fork_join: 20_000.0,
        speed_up: 24.0,
        dram_all: 80.0,
        gpu_call: 40_000.0,
        gpu_ops: 30_000.0,
        up: 22.0,
        down: 18.0,
        ramp: 200_000.0,
        ..DISCRETE
    },
    // A virtual machine with neighbours, and no GPU but a rasteriser that plays one, which is left out.
    Machine {
        name: "noisy CI box",
        call: 600.0,
        op: 0.08,
        threads: 2.0,
        fork_join: 25_000.0,
        speed_up: 1.5,
        cache: 30.0,
        dram: 8.0,
        dram_all: 11.0,
        has_gpu: false,
        noise: 0.06,
        ..DISCRETE
    },
];

impl Machine {
    /// This machine, off by what nobody measures.
    pub(super) fn hidden(&self, random: &mut Random) -> Self {
        let mut off = |value: f64, by: f64| value * random.factor(by);
        // Each backend as a whole.
        let (one, all, gpu) = (off(1.0, 0.1), off(1.0, 0.2), off(1.0, 0.2));
        let mut fixed = |value: f64| value * (0.75 + 0.5 * random.uniform());
        Self {
            call: fixed(self.call),
            op: self.op * one,
            fork_join: fixed(self.fork_join),
            speed_up: (self.speed_up * all).clamp(1.05, self.threads),
            cache: self.cache * one,
            dram: self.dram * one,
            dram_all: self.dram_all * all,
            gpu_call: fixed(self.gpu_call),
            gpu_ops: self.gpu_ops * gpu,
            up: fixed(self.up),
            down: fixed(self.down),
            ..self.clone()
        }
    }

    /// What measuring it gives: the truth and 10 %; fixed costs and transfers by up to 25 %, as probes are no loops.
    pub(super) fn calibrated(&self, random: &mut Random) -> (CpuFacts, GpuFacts) {
        let mut rate = |value: f64| value * random.factor(0.1);
        let (op, speed_up, cache) = (rate(self.op), rate(self.speed_up).max(1.0), rate(self.cache));
        let (dram, dram_all, gpu_ops) = (rate(self.dram), rate(self.dram_all), rate(self.gpu_ops));
        let mut fixed = |value: f64| value * (0.75 + 0.5 * random.uniform());
        let assumed = CpuFacts::assumed(self.threads as usize);
        let cpu = CpuFacts {
            call_ns: fixed(self.call),
            begin_ns: 0.0,
            lane: LaneTimes { simple: op, ..assumed.lane },
            fork_join_ns: fixed(self.fork_join),
            fork_join_idle_ns: 3.0 * fixed(self.fork_join),
            speed_up,
            bandwidth: CpuFacts::WORKING_SETS.map(|bytes| falling(bytes as f64, cache, dram)),
            bandwidth_all: CpuFacts::WORKING_SETS
                .map(|bytes| falling(bytes as f64 / self.threads, cache * speed_up, dram_all)),
            ..assumed
        };
        let gpu = GpuFacts {
            call_ns: fixed(self.gpu_call),
            ops_per_ns: gpu_ops,
            bytes_per_ns: 20.0 * self.up,
            upload_bytes_per_ns: fixed(self.up),
            download_bytes_per_ns: fixed(self.down),
        };
        (cpu, gpu)
    }

    /// What a call really takes, by backend.
    pub(super) fn times(&self, one: &Loop, n: f64, busy: bool, idle: bool) -> [f64; 3] {
        let bytes = n * (one.work.read + one.work.written);
        let ops = n * one.ops;
        let [gpu_eff, simd_eff, pool_eff] = one.efficiency;
        let overlapped = |compute: f64, memory: f64| (compute.powi(3) + memory.powi(3)).cbrt();

        let simd =
            self.call + overlapped(ops * self.op, bytes / falling(bytes, self.cache, self.dram)) * simd_eff;

        let share = if busy { 0.5 } else { 1.0 };
        let threads = if simd < BREAK_EVEN_NS {
            simd + 300.0
        } else {
            let wake = self.fork_join * if idle { 3.0 } else { 1.0 };
            let all = falling(bytes / self.threads, self.cache * self.speed_up, self.dram_all);
            let loops = overlapped(ops * self.op / self.speed_up, bytes / all) * pool_eff / share;
            // A short loop has too few pieces for everybody.
            self.call + wake + loops.max(simd / self.threads) * (1.0 + 0.2 * BREAK_EVEN_NS / simd)
        };

        let ramp = ops / n * self.ramp.min(8.0 * n);
        let moved = n * one.work.read / self.up + n * one.work.written / self.down;
        let gpu = self.gpu_call + (ops + ramp) / self.gpu_ops * gpu_eff + moved;
        [if self.has_gpu { gpu } else { f64::INFINITY }, simd, threads]
    }
}

/// Bytes per nanosecond at a working set: from the cache's to the memory's between 256 KiB and 4 MiB.
fn falling(bytes: f64, cache: f64, dram: f64) -> f64 {
    let along = ((bytes / 262_144.0).log2() / 4.0).clamp(0.0, 1.0);
    cache * (dram / cache).powf(along)
}
