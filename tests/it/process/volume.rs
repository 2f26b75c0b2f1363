//! File systems of a test's own, and the ways in which they fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system, gone when dropped. Needs root, as the whole test command does.
pub struct Mount(PathBuf);

impl Mount {
    /// In memory.
    pub fn new(at: PathBuf, size: &str) -> Self {
        let options = format!("size={size},mode=0700");
        Self::made_with(at, &["-t", "tmpfs", "-o", &options, "tmpfs"])
    }

    /// An ext4 in this file, which may be there already; made read-only by its first error.
    pub fn of_image(at: PathBuf, image: &Path) -> Self {
        if !image.exists() {
            fs::File::create(image).unwrap().set_len(128 << 20).unwrap();
            run(Command::new("mkfs.ext4").arg("-q").arg(image));
        }
        Self::made_with(at, &["-o", "loop,errors=remount-ro", image.to_str().unwrap()])
    }

    /// As if its file system had found a mistake in itself: it is read-only until it is mounted anew.
    pub fn break_down(&self) {
        let mut find = Command::new("findmnt");
        let output = find.args(["-n", "-o", "SOURCE"]).arg(&self.0).output().unwrap();
        let device = String::from_utf8(output.stdout).unwrap();
        let device = device.trim().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0));
    }

    /// Until this is dropped whoever writes waits, and cannot even be killed.
    pub fn freeze(&self) -> Frozen<'_> {
        run(Command::new("fsfreeze").arg("-f").arg(&self.0));
        Frozen(&self.0)
    }

    fn made_with(at: PathBuf, arguments: &[&str]) -> Self {
        let _ = fs::create_dir(&at);
        run(Command::new("mount").args(arguments).arg(&at));
        Self(at)
    }
}

/// A file system that stands still.
pub struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run(Command::new("fsfreeze").arg("-u").arg(self.0));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what is still open goes with the process that has it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} needs root: {told}");
}
