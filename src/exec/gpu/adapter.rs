//! The adapters of this machine: which of them count as a GPU, which do not and why, and which one is opened.
//!
//! A software rasteriser answers every feature query like a GPU and runs a loop some twenty times slower than one SIMD
//! thread, and wgpu hands it out silently, so adapters are judged by what they say they are, never by their features.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wgpu::{Backends, DeviceType, DownlevelFlags, PowerPreference};

use crate::kernel::shader::{ROW, WORKGROUP};

/// Names that software rasterisers give themselves, in lower case.
const SOFTWARE: [&str; 6] = ["llvmpipe", "lavapipe", "swiftshader", "softpipe", "swrast", "basic render"];

/// Allows software adapters when it is `1`.
const ALLOW_SOFTWARE: &str = "FORALL_ALLOW_SOFTWARE_GPU";

/// One adapter, and whether forall would run on it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AdapterFact {
    /// As the driver names it.
    pub name: String,
    /// The graphics API it is reached through: `vulkan`, `metal`, `dx12`, `gl`.
    pub api: String,
    /// `discrete`, `integrated`, `virtual`, `other`, or `software`.
    pub kind: String,
    /// The driver and its version, as far as they are known.
    pub driver: String,
    /// The largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// The most bytes of one array that one dispatch can see.
    pub max_binding_bytes: u64,
    /// Whether forall would use it.
    pub counts: bool,
    /// Why it counts, or why not and what would change that.
    pub reason: String,
}

/// Every adapter, the one that would be opened first. Loads the graphics drivers: tens to hundreds of milliseconds.
pub fn adapters() -> Vec<AdapterFact> {
    discover(&Wishes::from_env()).into_iter().map(|found| found.fact).collect()
}

/// An adapter and what is known about it.
#[derive(Debug)]
pub(crate) struct Found {
    pub adapter: wgpu::Adapter,
    pub fact: AdapterFact,
}

/// What the environment says about the choice of adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// `FORALL_ALLOW_SOFTWARE_GPU=1`.
    pub allow_software: bool,
    /// What `FORALL_ALLOW_SOFTWARE_GPU` holds where that is neither `0` nor `1`.
    pub misspelt: Option<String>,
    /// `WGPU_ADAPTER_NAME`: a part of the name, in any case.
    pub name: Option<String>,
    /// `WGPU_POWER_PREF=low`: integrated before discrete.
    pub low_power: bool,
}

impl Wishes {
    pub(crate) fn from_env() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let allow = text(ALLOW_SOFTWARE).filter(|value| value != "0");
        Self {
            allow_software: allow.as_deref() == Some("1"),
            misspelt: allow.filter(|value| value != "1"),
            name: text("WGPU_ADAPTER_NAME").map(|name| name.to_lowercase()),
            low_power: PowerPreference::from_env() == Some(PowerPreference::LowPower),
        }
    }
}

/// Every adapter, best first: those that count before those that do not.
///
/// OpenGL is asked only where the modern APIs show no adapter that counts, or where `WGPU_BACKEND` asks for it: it reaches the
/// same GPUs a second time, worse.
pub(crate) fn discover(wishes: &Wishes) -> Vec<Found> {
    let mut found = Vec::new();
    let rounds = match Backends::from_env() {
        Some(asked) => vec![asked],
        None => vec![Backends::PRIMARY, Backends::GL],
    };
    for backends in rounds {
        found.extend(enumerate(backends, wishes));
        if found.iter().any(|found| found.fact.counts) {
            break;
        }
    }
    found.sort_by_key(|found| rank(&found.adapter.get_info(), found.fact.counts, wishes.low_power));
    found
}

/// What to say where [`discover`] found nothing that counts.
pub(crate) fn none_counts(found: &[Found]) -> String {
    if found.is_empty() {
        return match std::env::var("WGPU_BACKEND") {
            Ok(asked) if !asked.is_empty() => {
                format!("no graphics adapter found with WGPU_BACKEND=`{asked}`; unset it to look everywhere")
            }
            _ => "no graphics adapter found; install the driver of your GPU (on Linux a Vulkan driver)"
                .to_owned(),
        };
    }
    // Vulkan and OpenGL show the same adapter twice.
    let mut each = Vec::new();
    for AdapterFact { name, reason, .. } in found.iter().map(|found| &found.fact) {
        let line = format!("{name}: {reason}");
        if !each.contains(&line) {
            each.push(line);
        }
    }
    format!("no adapter counts as a GPU: {}", each.join("; "))
}

fn enumerate(backends: Backends, wishes: &Wishes) -> Vec<Found> {
    // A driver that cannot be loaded has been seen to panic inside wgpu; it must not take the CPU back ends with it.
    let adapters = catch_unwind(AssertUnwindSafe(|| {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            // wgpu's own default turns validation layers on in debug builds. The environment may still ask for them.
            flags: wgpu::InstanceFlags::empty().with_env(),
            // Near the limit a failed allocation anywhere but in `create_buffer` loses the device; refuse before that.
            memory_budget_thresholds: wgpu::MemoryBudgetThresholds {
                for_resource_creation: Some(95),
                for_device_loss: None,
            },
            backend_options: wgpu::BackendOptions::from_env_or_default(),
            display: None,
        });
        pollster::block_on(instance.enumerate_adapters(backends))
    }));
    let adapters = adapters.unwrap_or_default();
    adapters
        .into_iter()
        .map(|adapter| {
            let fact = judge(&adapter, wishes);
            Found { adapter, fact }
        })
        .collect()
}

fn judge(adapter: &wgpu::Adapter, wishes: &Wishes) -> AdapterFact {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let computes = adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::COMPUTE_SHADERS);
    let fits = limits.max_compute_invocations_per_workgroup >= WORKGROUP
        && limits.max_compute_workgroup_size_x >= WORKGROUP
        && limits.max_compute_workgroups_per_dimension >= ROW / WORKGROUP;
    let verdict = if !computes {
        Err("it has no compute shaders".to_owned())
    } else if !fits {
        Err(format!("it cannot run {} workgroups of {WORKGROUP} invocations", ROW / WORKGROUP))
    } else {
        verdict(&info, wishes)
    };
    let kind = match info.device_type {
        _ if is_software(&info) => "software",
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Other | DeviceType::Cpu => "other",
    };
    let counts = verdict.is_ok();
    AdapterFact {
        api: info.backend.to_str().to_owned(),
        kind: kind.to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        max_buffer_bytes: limits.max_buffer_size,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        counts,
        reason: verdict.unwrap_or_else(|reason| reason),
        name: info.name,
    }
}

fn verdict(info: &wgpu::AdapterInfo, wishes: &Wishes) -> Result<String, String> {
    if let Some(wanted) = &wishes.name
        && !info.name.to_lowercase().contains(wanted)
    {
        return Err(format!("WGPU_ADAPTER_NAME asks for `{wanted}`"));
    }
    match (is_software(info), wishes.allow_software) {
        (true, false) => Err(match &wishes.misspelt {
            None => {
                format!(
                    "a software rasteriser runs on the CPU and is no GPU; {ALLOW_SOFTWARE}=1 lets tests use it"
                )
            }
            Some(value) => {
                format!("a software rasteriser is no GPU; {ALLOW_SOFTWARE}=`{value}`: expected 0 or 1")
            }
        }),
        (true, true) => Ok(format!("a software rasteriser, allowed by {ALLOW_SOFTWARE}=1")),
        (false, _) => Ok("a GPU".to_owned()),
    }
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    let names = format!("{} {} {}", info.name, info.driver, info.driver_info).to_lowercase();
    info.device_type == DeviceType::Cpu || SOFTWARE.iter().any(|software| names.contains(software))
}

/// Sorts adapters, best first. A hardware adapter comes before an allowed software one, whatever type that claims.
fn rank(info: &wgpu::AdapterInfo, counts: bool, low_power: bool) -> (bool, bool, u8, bool) {
    let kind = match info.device_type {
        DeviceType::DiscreteGpu if low_power => 1,
        DeviceType::IntegratedGpu if low_power => 0,
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    };
    (!counts, is_software(info), kind, info.backend == wgpu::Backend::Gl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, driver: &str, device_type: DeviceType, backend: wgpu::Backend) -> wgpu::AdapterInfo {
        wgpu::AdapterInfo {
            name: name.to_owned(),
            vendor: 0,
            device: 0,
            device_type,
            device_pci_bus_id: String::new(),
            driver: driver.to_owned(),
            driver_info: String::new(),
            backend,
            subgroup_min_size: 32,
            subgroup_max_size: 32,
            transient_saves_memory: None,
            limit_bucket: None,
        }
    }

    #[test]
    fn software_is_known_by_type_and_by_name() {
        let wishes = Wishes::default();
        for (name, driver, device_type) in [
            ("llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe", DeviceType::Cpu),
            ("zink (llvmpipe)", "", DeviceType::Other),
            ("Google SwiftShader", "SwiftShader driver", DeviceType::Cpu),
            // Seen on headless Windows machines, where it says it is integrated.
            ("Microsoft Basic Render Driver", "", DeviceType::IntegratedGpu),
            ("Some new rasteriser", "", DeviceType::Cpu),
        ] {
            let info = info(name, driver, device_type, wgpu::Backend::Vulkan);
            let reason = verdict(&info, &wishes).expect_err(name);
            assert!(reason.contains(ALLOW_SOFTWARE), "{reason}");
            assert!(verdict(&info, &Wishes { allow_software: true, ..Wishes::default() }).is_ok());
            let misspelt = Wishes { misspelt: Some("yes".to_owned()), ..Wishes::default() };
            let reason = verdict(&info, &misspelt).expect_err(name);
            assert!(reason.contains("=`yes`: expected 0 or 1"), "{reason}");
        }
    }

    #[test]
    fn hardware_counts_unless_another_name_is_asked_for() {
        let gpu = info("NVIDIA GeForce RTX 4090", "NVIDIA", DeviceType::DiscreteGpu, wgpu::Backend::Vulkan);
        assert!(verdict(&gpu, &Wishes::default()).is_ok());
        let asked = |name: &str| Wishes { name: Some(name.to_owned()), ..Wishes::default() };
        assert!(verdict(&gpu, &asked("geforce")).is_ok());
        assert!(verdict(&gpu, &asked("radeon")).is_err());
    }

    #[test]
    fn the_order_is_discrete_integrated_other_and_software_last() {
        let vulkan = wgpu::Backend::Vulkan;
        let discrete = info("d", "", DeviceType::DiscreteGpu, vulkan);
        let discrete_gl = info("d", "", DeviceType::DiscreteGpu, wgpu::Backend::Gl);
        let integrated = info("i", "", DeviceType::IntegratedGpu, vulkan);
        let other = info("o", "", DeviceType::Other, vulkan);
        let fake = info("Microsoft Basic Render Driver", "", DeviceType::IntegratedGpu, vulkan);
        let order = [&discrete, &discrete_gl, &integrated, &other, &fake];
        assert!(order.is_sorted_by_key(|info| rank(info, true, false)));
        assert!(
            rank(&fake, true, false) < rank(&discrete, false, false),
            "what does not count comes after what does"
        );
        assert!(rank(&integrated, true, true) < rank(&discrete, true, true));
    }
}
