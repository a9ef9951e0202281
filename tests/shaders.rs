//! Every file in `shaders/` is a kernel named as its file, with an example of that name.

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
        // A whole shader: tests/shader_loops.rs runs it.
        if text.contains("@compute") {
            continue;
        }
        let kernel = forall::Kernel::map(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(kernel.name(), name);
        assert!(text.starts_with("// "), "{name} says what it computes");
        assert!(root.join("examples").join(name).with_extension("rs").exists(), "{name} has no example");
        found += 1;
    }
    assert!(found >= 6);
}
