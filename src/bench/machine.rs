//! What a measurement ran on: names, and the best rates of each backend (the roofs of a roofline: Williams, Waterman and Patterson, 2009).
//!
//! The rates are the dispatcher's own facts about the machine; here is only what they mean for one loop.

use super::results::{Bandwidth, Machine, Roof};
use crate::backend::Backend;
use crate::cpu::CpuLevel;
use crate::dispatch::{self, CpuFacts};
use crate::error::Result;
use crate::exec::threads::pool_threads;

impl Machine {
    /// This one, on which these backends were measured, with their roofs or without.
    pub(super) fn here(backends: &[Backend], roofs: bool) -> Result<Self> {
        let level = CpuLevel::detected();
        let arch = std::env::consts::ARCH.to_owned();
        let mut machine = Self {
            cpu: Some(dispatch::cpu_model()).filter(|name| !name.is_empty()).unwrap_or_else(|| arch.clone()),
            arch,
            os: std::env::consts::OS.to_owned(),
            level: level.name().to_owned(),
            lanes: level.lanes(),
            threads: pool_threads()?,
            adapter: None,
            driver: None,
            library: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            roofs: Vec::new(),
        };
        #[cfg(feature = "gpu")]
        if backends.contains(&Backend::Gpu)
            && let Some(adapter) = crate::exec::gpu::adapters().into_iter().find(|adapter| adapter.counts)
        {
            machine.adapter = Some(adapter.name);
            machine.driver = Some(format!("{}, {}", adapter.api, adapter.driver));
        }
        if roofs {
            let facts = dispatch::Machine::measured()?;
            machine.roofs = backends.iter().filter_map(|backend| roof(*backend, &facts)).collect();
        }
        Ok(machine)
    }
}

/// The best that a backend does, by what was measured of the machine.
fn roof(backend: Backend, facts: &dispatch::Machine) -> Option<Roof> {
    let cpu = &facts.cpu;
    let sets = |rates: [f64; 4]| {
        let sets = CpuFacts::WORKING_SETS.iter().zip(rates);
        sets.map(|(bytes, rate)| Bandwidth { bytes: *bytes as f64, rate }).collect()
    };
    let (flops, bandwidths) = match backend {
        Backend::Simd => (cpu.flops_per_ns, sets(cpu.bandwidth)),
        Backend::Threads => (cpu.flops_per_ns * cpu.speed_up, sets(cpu.bandwidth_all)),
        Backend::Gpu => {
            let gpu = facts.gpu.as_ref()?;
            let memory = Bandwidth { bytes: *CpuFacts::WORKING_SETS.last()? as f64, rate: gpu.bytes_per_ns };
            (gpu.ops_per_ns, vec![memory])
        }
    };
    Some(Roof { backend, flops, bandwidths })
}

impl Roof {
    /// What memory gives for a working set of so many bytes: between two that were measured, on a straight line (log-log).
    pub fn bandwidth(&self, bytes: f64) -> Option<f64> {
        let above = self.bandwidths.iter().position(|set| set.bytes >= bytes);
        match above {
            Some(at) if at > 0 => {
                let (low, high) = (self.bandwidths[at - 1], self.bandwidths[at]);
                let way = (bytes / low.bytes).ln() / (high.bytes / low.bytes).ln();
                Some(low.rate * (high.rate / low.rate).powf(way))
            }
            Some(at) => Some(self.bandwidths[at].rate),
            None => self.bandwidths.last().map(|set| set.rate),
        }
    }

    /// The share of what this machine can do at best that a call takes: of its arithmetic or of its memory, whichever is nearer.
    pub fn share(&self, bytes: f64, flops: f64, ns: f64) -> Option<f64> {
        let memory = self.bandwidth(bytes).map(|rate| bytes / rate)?;
        Some(memory.max(flops / self.flops) / ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_nearer_roof() {
        let bandwidths = vec![Bandwidth { bytes: 1e3, rate: 100.0 }, Bandwidth { bytes: 1e6, rate: 10.0 }];
        let roof = Roof { backend: Backend::Simd, flops: 50.0, bandwidths };
        // In the cache: 1000 bytes in 10 ns at best; 2000 operations in 40.
        assert_eq!(roof.share(1e3, 100.0, 20.0), Some(0.5));
        assert_eq!(roof.share(1e3, 2000.0, 40.0), Some(1.0));
        assert_eq!(roof.share(1e9, 0.0, 2e8), Some(0.5));
        // Half-way between the sets, on a scale of logarithms.
        let between = roof.bandwidth(1e3 * 1000.0_f64.sqrt()).unwrap();
        assert!((between - 1000.0_f64.sqrt()).abs() < 1e-9, "{between}");
        assert_eq!(Roof { bandwidths: vec![], ..roof }.share(1.0, 1.0, 1.0), None);
    }

    #[test]
    fn this_machine_has_names_and_roofs() {
        let machine = Machine::here(&[Backend::Simd, Backend::Threads], true).unwrap();
        assert!(!machine.cpu.is_empty() && machine.threads > 0);
        assert_eq!(machine.roofs.len(), 2);
        for roof in machine.roofs {
            assert!(roof.flops > 0.0 && roof.bandwidths.iter().all(|b| b.rate > 0.0));
        }
        assert_eq!(Machine::here(&[Backend::Simd], false).unwrap().roofs, []);
    }
}
