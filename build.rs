//! Compiles again when a mapping file or a migration is added or removed: they are embedded
//! by folder.

fn main() {
    println!("cargo:rerun-if-changed=mappings");
    println!("cargo:rerun-if-changed=migrations");
}
