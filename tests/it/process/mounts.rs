//! File systems of a test's own, gone when dropped. They need root, as the whole test command does.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

const MIB: u64 = 1 << 20;
/// Room for the device inside and for the journal.
const PLATTER_BYTES: u64 = 256 * MIB;
const DEVICE_BYTES: u64 = 192 * MIB;
/// Room for a small ledger.
const IMAGE_BYTES: u64 = 128 * MIB;
/// By itself nothing is written out within a test: what is on the platter was synced.
const OPTIONS: &str = "loop,commit=300";

/// A file system that is mounted somewhere.
pub struct Mount(PathBuf);

impl Mount {
    /// One in memory.
    pub fn new(at: PathBuf, size: &str) -> Self {
        fs::create_dir(&at).unwrap();
        let mount = Self(at);
        mount.run("mount", &["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]);
        mount
    }

    /// An ext4 in this file, which may be there already; made read-only by its first error.
    pub fn of_image(at: PathBuf, image: &Path) -> Self {
        if !image.exists() {
            format(image, IMAGE_BYTES);
        }
        Self::of(image, at, "loop,errors=remount-ro")
    }

    /// The one in an image, by way of a loop device that goes with the mount.
    fn of(image: &Path, at: PathBuf, options: &str) -> Self {
        let _ = fs::create_dir(&at);
        let mount = Self(at);
        mount.run("mount", &["-o", options, image.to_str().unwrap()]);
        mount
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn make_read_only(&self) {
        self.run("mount", &["-o", "remount,ro"]);
    }

    /// As if its file system had found a mistake in itself: it is read-only until it is mounted anew.
    pub fn break_down(&self) {
        let mut find = Command::new("findmnt");
        let output = find.args(["-n", "-o", "SOURCE"]).arg(&self.0).output().unwrap();
        let device = String::from_utf8(output.stdout).unwrap();
        let device = device.trim().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").unwrap();
    }

    /// Until this is dropped whoever writes waits, and cannot even be killed.
    pub fn freeze(&self) -> Frozen<'_> {
        run(Command::new("fsfreeze").arg("-f").arg(&self.0));
        Frozen(&self.0)
    }

    fn run(&self, command: &str, arguments: &[&str]) {
        let output = Command::new(command).args(arguments).arg(&self.0).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command} needs root and loop devices: {told}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what is still open goes with the process that has it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A file system that stands still.
pub struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run(Command::new("fsfreeze").arg("-u").arg(self.0));
    }
}

/// An ext4 on a disk whose cache is lost with its power.
///
/// A loop device takes a write into the page cache of its backing file and keeps it there until it is
/// told to flush, as a disk does with its cache. So the device of this ext4 is a file on a second
/// ext4, whose own backing file is the platter: whatever nobody had flushed is not on the platter.
pub struct Disk {
    platter: PathBuf,
    // In the order in which they go.
    inner: Mount,
    _outer: Mount,
}

impl Disk {
    /// A new one, kept in a directory that is not there yet.
    pub fn new(dir: &Path) -> Self {
        fs::create_dir(dir).unwrap();
        let platter = dir.join("platter");
        format(&platter, PLATTER_BYTES);
        let outer = Mount::of(&platter, dir.join("outer"), OPTIONS);
        let device = outer.path().join("device");
        format(&device, DEVICE_BYTES);
        File::open(&device).unwrap().sync_all().unwrap();
        File::open(outer.path()).unwrap().sync_all().unwrap();
        Self::of(platter, outer, dir)
    }

    /// What is left of it, should the power be lost at this moment: another disk, in a directory that
    /// is not there yet. Whoever writes to this one must be stopped meanwhile.
    pub fn after_power_loss(&self, dir: &Path) -> Self {
        fs::create_dir(dir).unwrap();
        let platter = dir.join("platter");
        run(Command::new("cp").arg("--sparse=always").arg(&self.platter).arg(&platter));
        let outer = Mount::of(&platter, dir.join("outer"), OPTIONS);
        Self::of(platter, outer, dir)
    }

    fn of(platter: PathBuf, outer: Mount, dir: &Path) -> Self {
        let inner = Mount::of(&outer.path().join("device"), dir.join("inner"), OPTIONS);
        Self { platter, inner, _outer: outer }
    }

    pub fn path(&self) -> &Path {
        self.inner.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The mounts keep it until they are gone.
        let _ = fs::remove_file(&self.platter);
    }
}

fn format(image: &Path, bytes: u64) {
    File::create_new(image).unwrap().set_len(bytes).unwrap();
    let at_once = "lazy_itable_init=0,lazy_journal_init=0";
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", at_once]).arg(image));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
