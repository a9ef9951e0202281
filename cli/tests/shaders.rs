//! `forall run` on whole compute shaders: what reaches their variables, what is saved and printed, and how it refuses.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{f32s, failure, folder, forall, names, npy, read, read_f32, read_u32, success, write_f32};
use serde_json::Value;

const CPU: [&str; 2] = ["simd", "threads"];

fn shipped(name: &str) -> String {
    format!("{}/../shaders/{name}.wgsl", env!("CARGO_MANIFEST_DIR"))
}

fn u32s(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn a_sum_of_files_around_the_edges_of_a_tile() {
    let dir = folder("reduce_tree");
    let shader = shipped("reduce_tree");
    // A tile is 4096 elements.
    for n in [1, 255, 257, 4095, 4096, 4097, 10_000_usize] {
        // Whole numbers below 2^24: every order of additions gives the same sum.
        let x: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
        write_f32(dir.join("x.npy"), &x);
        let groups = n.div_ceil(4096);
        for backend in CPU {
            let sums = format!("sums=zeros:f32:{groups}");
            let args =
                ["run", &shader, "--bind", "input=x.npy", "--bind", &sums, "--grid", &groups.to_string()];
            let text = success(&dir, [&args[..], &["--save", "sums=s.npy", "--backend", backend]].concat());
            let sums = read_f32(dir.join("s.npy"));
            assert_eq!(sums.len(), groups);
            assert_eq!(sums.iter().sum::<f32>(), x.iter().sum::<f32>(), "{n} on {backend}");
            assert!(text.contains(&format!("sums: f32 ({groups},) in s.npy")), "{text}");
        }
    }
    assert_eq!(names(&dir), ["s.npy", "x.npy"], "no temporary file stays");
    // Overrides: a tile of 8 * 2, and the place instead of the name.
    let args = ["--bind", "0,0=1,2,3,4", "--bind", "0,1=zeros", "--const", "WIDTH=8", "--const", "ITEMS=0x2"];
    let error = failure(&dir, 2, [&["run", &shader], &args[..], &["--grid", "1"]].concat());
    assert!(error.contains("array<f32> has any length: zeros:N"), "{error}");
    let args =
        ["--bind", "0,0=1,2,3,4", "--bind", "0,1=zeros:1", "--const", "WIDTH=8", "--const", "ITEMS=0x2"];
    let text = success(&dir, [&["run", &shader], &args[..], &["--grid", "1"]].concat());
    assert!(text.contains("workgroups of 8 × 1 × 1") && text.contains("sums: f32 (1,)\n  10.0\n"), "{text}");
}

#[test]
fn shapes_and_grids_of_two_axes() {
    let dir = folder("life");
    // A blinker on a torus of 5 x 4.
    let mut old = [0_u32; 20];
    old[6..9].fill(1);
    fs::write(dir.join("old.npy"), npy("<u4", "(4, 5)", &u32s(&old))).unwrap();
    let shader = shipped("game_of_life");
    let args = ["run", &shader, "--bind", "size=5,4", "--bind", "old=old.npy", "--save", "next=n.npy"];
    success(&dir, [&args[..], &["--bind", "next=old.npy", "--invocations", "5,4"]].concat());
    let (_, shape, _) = read(dir.join("n.npy"));
    assert_eq!(shape, "(4, 5)", "that of the file it was");
    let mut expected = [0; 20];
    for row in 0..3 {
        expected[row * 5 + 2] = 1;
    }
    assert_eq!(read_u32(dir.join("n.npy")), expected);
    success(&dir, [&args[..], &["--bind", "next=zeros:u32:20", "--grid", "1,1"]].concat());
    assert_eq!(read_u32(dir.join("n.npy")), expected);
}

#[test]
fn entry_points_and_several_launches() {
    let dir = folder("bitonic");
    let shader = shipped("bitonic_sort");
    let keys: Vec<u32> = (0..1000_u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    fs::write(dir.join("k.npy"), npy("<u4", "(1000,)", &u32s(&keys))).unwrap();
    let args = ["run", &shader, "--bind", "keys=k.npy", "--grid", "1", "--save", "keys=k.npy"];
    let error = failure(&dir, 2, args);
    assert!(error.contains("4 compute entry points: mirror") && error.contains("--entry mirror"), "{error}");
    // Of what the entry point does not use, nothing is needed, and nothing is wrong.
    success(&dir, [&args[..], &["--entry", "sort_tiles", "--bind", "height=0"]].concat());
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(read_u32(dir.join("k.npy")), sorted, "an input may be where it is saved");
    let error = failure(&dir, 2, [&args[..], &["--entry", "sort"]].concat());
    assert!(error.contains("there is no compute entry point `sort`"), "{error}");
}

const TYPES: &str = "
    struct Body { position: vec3f, mass: f32, id: u32, velocity: vec3f }
    struct State { count: atomic<u32>, bodies: array<Body> }
    struct Params { scale: f32, offset: vec2i, on: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> points: array<vec3f>;
    @group(1) @binding(0) var<storage, read_write> moved: array<vec3f>;
    @group(1) @binding(1) var<storage, read_write> state: State;
    @group(1) @binding(2) var<storage, read_write> table: array<mat2x2f, 2>;
    @compute @workgroup_size(4)
    fn main(@builtin(global_invocation_id) id: vec3u) {
        if id.x >= arrayLength(&points) { return; }
        moved[id.x] = points[id.x] * params.scale + vec3f(vec2f(params.offset), f32(params.on));
        state.bodies[id.x].velocity = moved[id.x];
        state.bodies[id.x].id = 7u;
        if id.x == 0u { table[1] = mat2x2f(1.0, 2.0, 3.0, 4.0); }
        atomicAdd(&state.count, 1u);
    }";

#[test]
fn every_kind_of_type() {
    let dir = folder("types");
    fs::write(dir.join("t.wgsl"), TYPES).unwrap();
    let points: Vec<f32> = (1..=6).map(|i| i as f32).collect();
    fs::write(dir.join("p.npy"), npy("<f4", "(2, 3)", &f32s(&points))).unwrap();
    let args =
        ["run", "t.wgsl", "--bind", "params=2,-1,1,5u", "--bind", "points=p.npy", "--invocations", "2"];
    let rest = ["--bind", "moved=zeros:vec3f:2", "--bind", "1,1=zeros:Body:2", "--bind", "table=zeros"];
    let save = ["--save", "moved=m.npy", "--save", "state=s.npy", "--save", "1,2=t.npy"];
    success(&dir, [&args[..], &rest, &save].concat());
    assert_eq!(read(dir.join("m.npy")).1, "(2, 3)");
    assert_eq!(read_f32(dir.join("m.npy")), [1.0, 5.0, 11.0, 7.0, 11.0, 17.0]);
    let (descr, shape, data) = read(dir.join("t.npy"));
    assert_eq!((&*descr, &*shape), ("<f4", "(2, 2, 2)"));
    assert_eq!(data[16..], f32s(&[1.0, 2.0, 3.0, 4.0]));

    // The structured array has WGSL's padding, as NumPy would write it, and reads back.
    let file = String::from_utf8_lossy(&fs::read(dir.join("s.npy")).unwrap()).into_owned();
    let body = "[('position', '<f4', (3,)), ('mass', '<f4'), ('id', '<u4'), ('', '|V12'), ('velocity', '<f4', (3,)), ('', '|V4')]";
    let state = format!("[('count', '<u4'), ('', '|V12'), ('bodies', {body}, (2,))]");
    assert!(file.contains(&format!("'descr': {state}, 'fortran_order': False, 'shape': (), ")), "{file}");
    let again = ["--bind", "moved=m.npy", "--bind", "state=s.npy", "--bind", "table=t.npy"];
    let text = success(&dir, [&args[..], &again].concat());
    assert!(text.contains("state.count: u32 (1,)\n  4\n"), "{text}");
    assert!(
        text.contains("state.bodies.velocity: f32 (2, 3)\n  (1.0, 5.0, 11.0)  (7.0, 11.0, 17.0)\n"),
        "{text}"
    );
    assert!(text.contains("state.bodies.id: u32 (2,)\n  7  7\n"), "{text}");
    let json: Value =
        serde_json::from_str(&success(&dir, [&args[..], &again, &["--json"]].concat())).unwrap();
    let outputs: Vec<_> =
        json["outputs"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(outputs[..2], ["moved", "state.count"]);
    assert_eq!(json["report"]["backend"].as_str().map(|name| CPU.contains(&name)), Some(true));

    for (bind, code, expected) in [
        ("params=1,2", 2, "2 numbers, expected 4 for Params"),
        ("params=1,2,0.5,1", 2, "`0.5` is no i32"),
        ("moved=zeros:f32:2", 2, "zeros of f32, expected vec3<f32>"),
        ("moved=uniform:3:4:5", 2, "expected uniform:N or uniform:N:SEED"),
        ("moved=1,2,3,4", 2, "4 numbers, expected a multiple of 3"),
        ("moved=index:6", 2, "makes u32, the variable is array<vec3<f32>>"),
        ("moved=zeros:2,3", 2, "expected zeros:N"),
        ("moved=t.npy", 1, "has the shape (2, 2, 2), expected a shape that ends in (3,)"),
        ("moved=s.npy", 1, "holds records of"),
        ("state=p.npy", 1, "holds f32, expected a structured array of dtype [('count'"),
        ("table=zeros:3", 2, "3 elements, expected 2 for array<mat2x2<f32>, 2>"),
        ("table=p.npy", 1, "has the shape (2, 3), expected the shape (2, 2, 2)"),
        ("moved=missing.npy", 1, "No such file"),
        ("moved=/dev/zero", 1, "not a .npy file"),
        ("moved=.", 1, "is a directory"),
    ] {
        // The last value of a name does not count: it is an error. So the others are given here.
        let name = bind.split('=').next().unwrap();
        let all = ["params=2,-1,1,5", "points=p.npy", "moved=m.npy", "state=s.npy", "table=t.npy"];
        let others = all.into_iter().filter(|other| !other.starts_with(&format!("{name}=")));
        let mut args = vec!["run", "t.wgsl", "--invocations", "2", "--save", "moved=never.npy"];
        others.chain([bind]).for_each(|bind| args.extend(["--bind", bind]));
        let error = failure(&dir, code, &args);
        assert!(error.contains(expected) && error.contains(&format!("--bind {name}")), "{bind}: {error}");
    }
    assert_eq!(names(&dir), ["m.npy", "p.npy", "s.npy", "t.npy", "t.wgsl"]);
}

/// As generated programs wrap every array, and old ones had to.
#[test]
fn a_struct_of_one_member_is_that_member() {
    let dir = folder("wrapped");
    let shader = "
        struct Points { value: array<vec3f> }
        struct Id { number: u32 }
        struct Table { rows: array<array<f32, 3>, 2> }
        @group(0) @binding(0) var<storage, read_write> points: Points;
        @group(0) @binding(1) var<storage, read_write> ids: array<Id>;
        @group(0) @binding(2) var<storage, read> table: Table;
        @compute @workgroup_size(1)
        fn main(@builtin(global_invocation_id) id: vec3u) {
            points.value[id.x] += vec3f(table.rows[id.x][0], table.rows[id.x][1], table.rows[id.x][2]);
            ids[id.x].number += 1u;
        }";
    fs::write(dir.join("w.wgsl"), shader).unwrap();
    fs::write(dir.join("p.npy"), npy("<f4", "(2, 3)", &f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap();
    fs::write(dir.join("t.npy"), npy("<f4", "(2, 3)", &f32s(&[0.5; 6]))).unwrap();
    let run = ["run", "w.wgsl", "--grid", "2", "--bind", "table=t.npy"];
    let bind = ["--bind", "points=p.npy", "--bind", "ids=index:2"];
    let save = ["--save", "points=q.npy", "--save", "ids=i.npy"];
    let text = success(&dir, [&run[..], &bind, &save].concat());
    assert!(text.contains("points: f32 (2, 3) in q.npy"), "{text}");
    assert_eq!(read(dir.join("q.npy")).1, "(2, 3)");
    assert_eq!(read_f32(dir.join("q.npy")), [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
    let (descr, shape, data) = read(dir.join("i.npy"));
    assert_eq!((&*descr, &*shape), ("<u4", "(2,)"));
    assert_eq!(data, [1_u32, 2].map(u32::to_le_bytes).concat());

    // Records of such a struct, as `--save` wrote them before, are still read.
    let header = "{'descr': [('number', '<u4')], 'fortran_order': False, 'shape': (2,), }";
    let padded = format!("{header:<117}\n");
    let mut records = b"\x93NUMPY\x01\x00".to_vec();
    records.extend((padded.len() as u16).to_le_bytes());
    records.extend(padded.as_bytes());
    records.extend([7_u32, 8].map(u32::to_le_bytes).concat());
    fs::write(dir.join("r.npy"), records).unwrap();
    let again = ["--bind", "points=q.npy", "--bind", "ids=r.npy", "--save", "ids=i.npy"];
    success(&dir, [&run[..], &again].concat());
    assert_eq!(read(dir.join("i.npy")).2, [8_u32, 9].map(u32::to_le_bytes).concat());
}

/// Several members take a plain array, if they are numbers of one kind without gaps.
#[test]
fn structs_of_one_kind_of_number() {
    let dir = folder("one_kind");
    let shader = "
        struct Half { x: u32, y: u32 }
        struct Pair { low: Half, high: array<u32, 2> }
        struct Gap { x: u32, @align(16) y: u32 }
        struct Mixed { x: u32, y: f32 }
        @group(0) @binding(0) var<storage, read_write> pairs: array<Pair>;
        @group(0) @binding(1) var<storage, read_write> gaps: array<Gap>;
        @group(0) @binding(2) var<storage, read_write> mixed: array<Mixed>;
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
            pairs[id.x].high[1] += pairs[id.x].low.y;
            gaps[id.x].y += u32(mixed[id.x].y);
        }";
    fs::write(dir.join("p.npy"), npy("<u4", "(2, 4)", &u32s(&[1, 2, 3, 4, 5, 6, 7, 8]))).unwrap();
    let others = ["pairs=p.npy", "gaps=zeros:2", "mixed=zeros:2"];
    let bound = |bind: &'static str| {
        let name = bind.split_once('=').unwrap().0;
        let kept = others.into_iter().filter(move |other| !other.starts_with(name)).chain([bind]);
        [vec!["run", shader, "--invocations", "2"], kept.flat_map(|bind| ["--bind", bind]).collect()].concat()
    };
    success(&dir, [&bound("pairs=p.npy")[..], &["--save", "pairs=s.npy"]].concat());
    // What is saved is a structured array, and reads back.
    let text = success(&dir, bound("pairs=s.npy"));
    assert!(text.contains("pairs.high: u32 (4,)\n  3  8  7  20\n"), "{text}");
    for bind in ["gaps=p.npy", "mixed=p.npy"] {
        let error = failure(&dir, 1, bound(bind));
        assert!(error.contains("holds u32, expected a structured array of dtype"), "{error}");
    }
}

#[test]
fn textures_are_images() {
    let dir = folder("texture");
    let shader = "
        @group(0) @binding(0) var source: texture_2d<f32>;
        @group(0) @binding(1) var image: texture_storage_2d<rgba8unorm, write>;
        @compute @workgroup_size(1)
        fn invert(@builtin(global_invocation_id) id: vec3u) {
            textureStore(image, id.xy, vec4f(1.0) - textureLoad(source, id.xy, 0));
        }";
    let texels = [0.0, 1.0, 0.2, 1.0].repeat(6);
    fs::write(dir.join("s.npy"), npy("<f4", "(2, 3, 4)", &f32s(&texels))).unwrap();
    let args = ["run", shader, "--bind", "source=s.npy", "--invocations", "3,2", "--save", "image=i.npy"];
    success(&dir, [&args[..], &["--bind", "image=zeros:3,2"]].concat());
    let (descr, shape, data) = read(dir.join("i.npy"));
    assert_eq!((&*descr, &*shape), ("|u1", "(2, 3, 4)"));
    assert_eq!(data, [255, 0, 204, 0].repeat(6));
    success(&dir, [&args[..], &["--bind", "image=i.npy"]].concat());
    let error = failure(&dir, 2, [&args[..], &["--bind", "image=zeros:6"]].concat());
    assert!(error.contains("expected zeros:X,Y"), "{error}");
    let error = failure(&dir, 1, [&args[..], &["--bind", "image=s.npy"]].concat());
    assert!(error.contains("holds f32, expected u8 for texture_storage_2d<rgba8unorm, write>"), "{error}");
    fs::write(dir.join("flat.npy"), npy("|u1", "(24,)", &[0; 24])).unwrap();
    let error = failure(&dir, 1, [&args[..], &["--bind", "image=flat.npy"]].concat());
    assert!(error.contains("expected (height, width, 4)"), "{error}");
}

const DOUBLE: &str = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @group(0) @binding(1) var<storage, read> y: array<f32>;
    @compute @workgroup_size(64) fn double(@builtin(global_invocation_id) id: vec3u) {
        if id.x < arrayLength(&x) { x[id.x] += y[id.x]; }
    }";

#[test]
fn bad_usage() {
    let dir = folder("shader_usage");
    fs::write(dir.join("d.wgsl"), DOUBLE).unwrap();
    let bound = ["run", "d.wgsl", "--bind", "x=1,2,3", "--bind", "y=1,2,3"];
    assert!(
        success(&dir, [&bound[..], &["--grid", "1"]].concat()).contains("x: f32 (3,)\n  2.0  4.0  6.0\n")
    );
    for (args, expected) in [
        (&["run", "d.wgsl", "--grid", "1"][..], "--bind x=zeros:N   for @group(0) @binding(0)"),
        (
            &["run", "d.wgsl", "--bind", "x=1"],
            "Add --grid X[,Y[,Z]], in workgroups, which are 64 × 1 × 1 here",
        ),
        (&["run", "d.wgsl", "--grid", "1", "--bind", "x"], "expected NAME=VALUE"),
        (&["run", "d.wgsl", "--grid", "1", "--bind", "x=1", "--bind", "0,0=1"], "already has a value"),
        (&["run", "d.wgsl", "--grid", "1", "--in", "x=1"], "which takes --bind"),
        (&["run", "d.wgsl", "--grid", "1", "--out", "x.npy"], "which takes --save"),
        (&["run", "d.wgsl", "--n", "1"], "--grid or --invocations"),
        (&["run", "d.wgsl", "--grid", "1", "--invocations", "1"], "cannot be used with"),
        (&["run", "d.wgsl", "--grid", "1,1,1,1"], "at most three"),
        (&["run", "d.wgsl", "--grid", "4294967296"], "expected less than 2^32"),
        (&["run", "d.wgsl", "--grid", "1", "--time-limit", "0"], "above 0"),
        (&["run", "d.wgsl", "--grid", "1", "--time-limit", "nan"], "above 0"),
        (&["run", "d.wgsl", "--grid", "1", "--const", "n=1"], "there is no override constant `n`"),
        (&["run", "d.wgsl", "--grid", "1", "--const", "n"], "expected NAME=VALUE"),
        (&["run", "d.wgsl", "--grid", "1", "--const", "n=one"], "`one`: expected a number"),
        (&["run", "x + 1.0", "--in", "x=1", "--grid", "1"], "--grid is for compute shaders"),
        (&["run", "x + 1.0", "--in", "x=1", "--save", "x=y"], "--save is for compute shaders"),
    ] {
        let error = failure(&dir, 2, args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    for (rest, expected) in [
        (&["--grid", "1", "--bind", "z=1"][..], "there is no variable `z`"),
        (&["--grid", "67108864"], "the grid got"),
        (&["--grid", "1", "--save", "y=y.npy"], "the shader only reads `y`; it writes x"),
        (&["--grid", "1", "--save", "z=y.npy"], "no variable `z`; it writes x"),
        (&["--grid", "1", "--save", "x="], "expected NAME=FILE.npy"),
        (&["--grid", "1", "--save", "x=a.npy", "--save", "x=b.npy"], "already has a file"),
        (&["--grid", "1", "--save", "x=."], "--save .: is a directory"),
        (&["--grid", "1", "--save", "x=./d.wgsl"], "is the file with the body"),
    ] {
        let error = failure(&dir, 2, [&bound[..], rest].concat());
        assert!(error.contains(expected), "{rest:?}: {error}");
    }
    assert_eq!(names(&dir), ["d.wgsl"]);
}

#[test]
fn an_endless_loop_is_stopped_and_writes_nothing() {
    let dir = folder("endless");
    let shader = "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(1) fn main() { loop { x[0] += 1u; if x[0] == 0u { break; } x[0] |= 1u; } }";
    fs::write(dir.join("x.npy"), "as it was").unwrap();
    for backend in CPU {
        let started = Instant::now();
        let args =
            ["run", shader, "--bind", "x=0", "--grid", "1", "--save", "x=x.npy", "--time-limit", "0.2"];
        let error = failure(&dir, 1, [&args[..], &["--backend", backend]].concat());
        assert!(error.contains("stopped after the time limit of 200ms"), "{error}");
        // Generous: the machine may be busy.
        assert!(started.elapsed() < Duration::from_secs(60));

        let function = "fn f(x: u32) -> u32 { loop { if x == x { continue; } break; } return x; }";
        let args = ["run", function, "--in", "x=index", "--n", "3", "--out", "x.npy", "--time-limit", "0.2"];
        let error = failure(&dir, 1, [&args[..], &["--backend", backend]].concat());
        assert!(error.contains("stopped after the time limit of 200ms"), "{error}");
    }
    assert_eq!(fs::read(dir.join("x.npy")).unwrap(), b"as it was");
    assert_eq!(names(&dir), ["x.npy"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_it_loudly() {
    use std::process::{Command, Stdio};

    let dir = folder("ctrl_c");
    fs::write(dir.join("x.npy"), "as it was").unwrap();
    let shader = "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(1) fn main() { loop { if atomicLike(x[0]) { break; } x[0] |= 1u; } }
        fn atomicLike(x: u32) -> bool { return x == 7u; }";
    let child = Command::new(env!("CARGO_BIN_EXE_forall"))
        .args(["run", shader, "--bind", "x=0", "--grid", "1", "--save", "x=x.npy", "--time-limit", "60"])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until it listens, the signal ends it without a word; then the test says nothing, so it waits for the temporary file
    // to come and go, and a little longer.
    std::thread::sleep(Duration::from_secs(2));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("interrupted; every file is as it was"), "{stderr}");
    assert_eq!(fs::read(dir.join("x.npy")).unwrap(), b"as it was");
    assert_eq!(names(&dir), ["x.npy"]);
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let dir = folder("json_errors");
    for (args, exit, expected) in [
        (&["run", DOUBLE, "--json"][..], 2, "Add --grid"),
        (&["run", "x +* 1", "--in", "x=1", "--json"], 2, "operator"),
        (&["run", "x", "--in", "x=missing.npy", "--json"], 1, "No such file"),
        (&["run", "--json", "--what"], 2, "--what"),
        (&["devices", "--json", "--what"], 2, "--what"),
    ] {
        let output = forall(&dir, args);
        assert_eq!(output.status.code(), Some(exit), "{args:?}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["error"]["exit"], exit);
        assert!(json["error"]["message"].as_str().unwrap().contains(expected), "{json}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error"), "said once");
    }
    // Behind the -- it is no option but a BODY, though not a valid one.
    let error = failure(&dir, 2, ["run", "--in", "json=1.0", "--", "--json"]);
    assert!(error.contains("expected expression"), "{error}");
}

#[test]
fn zeros_of_an_array_of_fixed_length_name_one_element_and_how_many() {
    let dir = folder("fixed_zeros");
    let shader = shipped("histogram");
    for zeros in ["zeros", "zeros:256", "zeros:u32:256", "zeros:atomic<u32>:256"] {
        let counts = format!("counts={zeros}");
        let binds = ["--bind", "keys=index:1000", "--bind", "shift=0", "--bind", &counts];
        success(&dir, [&["run", &shader], &binds[..], &["--grid", "1", "--save", "counts=c.npy"]].concat());
        let expected: Vec<u32> = (0..256).map(|key| if key < 1000 % 256 { 4 } else { 3 }).collect();
        assert_eq!(read_u32(dir.join("c.npy")), expected, "{zeros}");
    }
}
