//! Compiles again when a mapping file is added or removed: they are embedded by folder.

fn main() {
    println!("cargo:rerun-if-changed=mappings");
}
