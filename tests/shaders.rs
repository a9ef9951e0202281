//! Every file in `shaders/` is a kernel named as its file, or a whole compute shader, with an example and a bench of that name.

use std::fs;
use std::path::Path;

#[test]
fn shaders_are_kernels_with_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for entry in fs::read_dir(root.join("shaders")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        // A whole shader is run by tests/shader_loops.rs.
        if !text.contains("@compute") {
            let kernel =
                forall::Kernel::map(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(kernel.name(), name);
        }
        assert!(text.starts_with("// "), "{name} says what it computes");
        for room in ["examples", "benches"] {
            assert!(root.join(room).join(name).with_extension("rs").exists(), "{name} is not in {room}");
        }
        found += 1;
    }
    assert!(found >= 14);
}
