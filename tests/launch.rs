//! Whole compute shaders through the front door: right launches on every CPU backend, and every wrong one with the words of its
//! error.

use forall::{Array, Backend, Bindings, Dispatcher, Error, Grid, Kernel, Policy, ShaderOptions, Value};

const CPU: [Backend; 2] = [Backend::Simd, Backend::Threads];

fn on(backend: Backend) -> Dispatcher {
    Dispatcher::new().with_policy(Policy::Only(backend))
}

fn shader(wgsl: &str) -> Kernel {
    Kernel::shader(wgsl).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes every id to its own element.
const IDS: &str = "
    @group(0) @binding(0) var<storage, read_write> ids: array<vec4<u32>>;
    @compute @workgroup_size(4, 2, 3)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u,
            @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
        let size = groups * vec3u(4, 2, 3);
        let at = (id.z * size.y + id.y) * size.x + id.x;
        ids[at] = vec4u(id, (group.x + groups.x * (group.y + groups.y * group.z)) * 24 + local);
    }";

#[test]
fn every_invocation_of_a_grid_runs_once() {
    let kernel = shader(IDS);
    assert_eq!(kernel.workgroup_size(), Some([4, 2, 3]));
    for backend in CPU {
        for [x, y, z] in [[1_u32, 1, 1], [7, 1, 1], [1, 5, 1], [1, 1, 3], [2, 3, 4], [40, 3, 2], [300, 2, 1]]
        {
            let size = [4 * x, 2 * y, 3 * z];
            let n = size.iter().product::<u32>() as usize;
            let mut ids = vec![[u32::MAX; 4]; n];
            let bindings = Bindings::new().bind("ids", &mut ids);
            let report =
                on(backend).launch(&kernel, Grid::workgroups([x, y, z]), bindings).expect("launches");
            assert_eq!((report.n(), report.moved(), report.backend()), (n, 0, backend));
            for (at, id) in (0..).zip(&ids) {
                let [i, j, k] = [at % size[0], at / size[0] % size[1], at / size[0] / size[1]];
                let group = i / 4 + x * (j / 2 + y * (k / 3));
                let local = i % 4 + 4 * (j % 2 + 2 * (k % 3));
                assert_eq!(*id, [i, j, k, 24 * group + local], "{backend} {size:?} {at}");
            }
        }
    }
}

/// The length of an array of workgroup memory may be a constant that the caller gives.
#[test]
fn arrays_are_as_long_as_their_constants_say() {
    let text = "
        override half: u32 = 2;
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        var<workgroup> turned: array<u32, 2 * half>;
        var<workgroup> fixed: array<u32, 4>;
        @compute @workgroup_size(2 * half)
        fn turn(@builtin(local_invocation_index) i: u32) {
            turned[2 * half - 1 - i] = i;
            fixed[i] = i;
            workgroupBarrier();
            out[i] = 10 * turned[i] + fixed[i];
        }";
    for half in [1_u32, 2, 4] {
        let turn = ShaderOptions::new().constant("half", half).build(text).unwrap();
        let mut out = vec![99; 2 * half as usize];
        let forall = Dispatcher::new().with_policy(Policy::Only(Backend::Simd));
        forall.launch(&turn, Grid::workgroups(1), Bindings::new().bind("out", &mut out)).unwrap();
        let last = 2 * half - 1;
        let expected: Vec<u32> = (0..=last).map(|i| 10 * (last - i) + if i < 4 { i } else { 0 }).collect();
        assert_eq!(out, expected);
    }
    let error = ShaderOptions::new().constant("half", 0).build(text).unwrap_err();
    assert!(matches!(error, Error::Wgsl { .. }), "{error}");
}
