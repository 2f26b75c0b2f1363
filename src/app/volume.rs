//! What volume a data directory is on, and whether it outlives the place where the daemon runs.
//!
//! A ledger that dies with its pod leaves everything it held at ARGOS, where nobody knows it any more and
//! where it takes room under the cap for good. Linux says where a directory is mounted from, and the
//! kubelet makes every emptyDir below a directory of one name; that is certain. A file system in memory and
//! the layer of a container may die as well, or be what somebody wants for a trial; that is only told.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use super::preflight::{not_checkable, passed};
use crate::{
    config::{LedgerKind, LedgerStorage, Settings},
    port::Finding,
};

const MOUNTINFO: &str = "/proc/self/mountinfo";
/// What the kubelet calls the directory of emptyDir volumes in the directory of a pod.
const EMPTY_DIR: &str = "kubernetes.io~empty-dir";
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
const LAYERED: [&str; 3] = ["overlay", "aufs", "fuse.fuse-overlayfs"];

/// What is known of the volume of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Volume {
    /// Nothing speaks against it; the kind of its file system, where that was found.
    Lasting(Option<String>),
    /// It is a Kubernetes emptyDir, which is deleted with its pod.
    EmptyDir,
    /// It is in memory, or in the layer of a container: the kind of its file system.
    Doubtful(String),
    /// The configuration does not count on it.
    NotNeeded,
}

impl Volume {
    /// The volume of the ledgers of a configuration, whose data directory is there.
    pub(super) fn of(settings: &Settings) -> Self {
        let counts = settings.ledger.storage == LedgerStorage::Persistent;
        if !counts || settings.ledger.kind == LedgerKind::Memory {
            return Self::NotNeeded;
        }
        let found = fs::read(MOUNTINFO).ok().zip(fs::canonicalize(&settings.data_dir).ok());
        let mount = found.as_ref().and_then(|(text, dir)| mount_of(text, dir));
        mount.map_or(Self::Lasting(None), |mount| mount.volume())
    }

    /// What `preflight` tells of it.
    pub(super) fn finding(&self) -> Finding {
        const NAME: &str = "ledger_volume";
        match self {
            Self::Lasting(Some(kind)) => passed(NAME, format!("on {kind}")),
            Self::Lasting(None) => not_checkable(
                NAME,
                "Linux does not tell what the data directory is on",
                "see that it outlives the daemon, or set ledger.storage = \"ephemeral\"",
            ),
            Self::NotNeeded => {
                passed(NAME, "ready tokens are deleted at a stop, or nothing is kept")
            }
            Self::EmptyDir => super::preflight::failed(NAME, "on an emptyDir", ADVICE),
            Self::Doubtful(kind) => {
                not_checkable(NAME, format!("on {kind}, which may die with its container"), ADVICE)
            }
        }
    }
}

pub(super) const ADVICE: &str = "put data_dir on a volume that outlives its pod or container, or set \
                                 ledger.storage = \"ephemeral\", which deletes ready tokens at SIGTERM";

/// One line of mountinfo, as far as it matters.
#[derive(Debug)]
struct Mount {
    id: u64,
    parent: u64,
    /// Which directory of its file system is mounted.
    root: PathBuf,
    point: PathBuf,
    kind: String,
}

impl Mount {
    /// `id parent major:minor root point options [tags…] - kind source options`, see proc_pid_mountinfo(5).
    fn read(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let _device = fields.next()?;
        let (root, point) = (path(fields.next()?), path(fields.next()?));
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some(Self { id, parent, root, point, kind: String::from_utf8(kind.to_vec()).ok()? })
    }

    fn volume(&self) -> Volume {
        if self.root.iter().any(|part| part == EMPTY_DIR) {
            Volume::EmptyDir
        } else if IN_MEMORY.contains(&self.kind.as_str()) || LAYERED.contains(&self.kind.as_str()) {
            Volume::Doubtful(self.kind.clone())
        } else {
            Volume::Lasting(Some(self.kind.clone()))
        }
    }
}

/// The mount that a path without links leads to: from the root through every mount point on the way, so
/// that one which another covers is not taken for it.
fn mount_of(mountinfo: &[u8], path: &Path) -> Option<Mount> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let mut mounts: Vec<_> = lines.filter_map(Mount::read).collect();
    let root = mounts.iter().position(|mount| mount.point == Path::new("/"))?;
    let mut here = mounts.swap_remove(root);
    loop {
        let next = mounts.iter().enumerate().filter(|(_, mount)| {
            mount.parent == here.id
                && path.starts_with(&mount.point)
                && mount.point.starts_with(&here.point)
        });
        // The first on the way; what is mounted at the same point has another parent.
        let next = next.min_by_key(|(_, mount)| mount.point.components().count());
        let Some((at, _)) = next else { return Some(here) };
        here = mounts.swap_remove(at);
    }
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Space, tab, line feed and backslash are written as three octal digits behind a backslash.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| after.split_at_checked(3)).flatten();
        let symbol = escaped
            .and_then(|(digits, _)| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (symbol, escaped) {
            (Some(symbol), Some((_, after))) => {
                bytes.push(symbol);
                rest = after;
            }
            (Some(_) | None, _) => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in a pod: the root is a layer, the ledger an emptyDir, the socket one in memory.
    const POD: &str = r"630 554 0:121 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u
631 630 0:124 / /proc rw,nosuid - proc proc rw
640 630 8:1 /var/lib/kubelet/pods/0f-1/volumes/kubernetes.io~empty-dir/ledger /var/lib/argospool rw - ext4 /dev/sda1 rw
641 630 0:130 / /run/argospool rw,relatime shared:7 master:2 - tmpfs tmpfs rw,size=1024k
642 630 259:3 / /data rw,relatime - ext4 /dev/nvme1n1 rw
643 642 8:1 /pods/0f-1/volumes/kubernetes.io~empty-dir/with\040space/sub /data/with\040space rw - xfs /dev/sdb1 rw
644 630 8:1 /srv/about-kubernetes.io~empty-dir /srv rw - ext4 /dev/sda1 rw
";

    fn volume(mountinfo: &str, path: &str) -> Volume {
        mount_of(mountinfo.as_bytes(), Path::new(path)).unwrap().volume()
    }

    fn lasting(kind: &str) -> Volume {
        Volume::Lasting(Some(kind.to_owned()))
    }

    #[test]
    fn an_empty_dir_is_told_by_where_it_is_mounted_from() {
        for below in ["/var/lib/argospool", "/var/lib/argospool/data", "/data/with space/a"] {
            assert_eq!(volume(POD, below), Volume::EmptyDir, "{below}");
        }
    }

    #[test]
    fn what_may_die_is_told_from_what_lasts() {
        for (path, kind) in
            [("/run/argospool/x", "tmpfs"), ("/var/lib", "overlay"), ("/", "overlay")]
        {
            assert_eq!(volume(POD, path), Volume::Doubtful(kind.to_owned()), "{path}");
        }
        for path in ["/data", "/data/withspace", "/data/with", "/srv/a"] {
            assert_eq!(volume(POD, path), lasting("ext4"), "{path}");
        }
        // A name that begins alike is another directory.
        assert_eq!(volume(POD, "/var/lib/argospool-data"), Volume::Doubtful("overlay".to_owned()));
    }

    #[test]
    fn the_mount_that_covers_another_counts() {
        let stacked = "1 0 8:1 / / rw - ext4 a rw\n\
                       2 1 8:2 / /a/b rw - xfs b rw\n\
                       3 1 0:9 / /a rw - tmpfs c rw\n\
                       5 4 0:9 / /s rw - tmpfs e rw\n\
                       4 1 8:3 / /s rw - btrfs d rw\n";
        assert_eq!(volume(stacked, "/a/b/c"), Volume::Doubtful("tmpfs".to_owned()), "covered");
        assert_eq!(volume(stacked, "/s"), Volume::Doubtful("tmpfs".to_owned()), "on top");
        assert_eq!(volume(stacked, "/b"), lasting("ext4"));
    }

    #[test]
    fn lines_of_another_shape_are_passed_over() {
        let odd = "nonsense\n\n1 0 8:1 / / rw - ext4 a rw\n2 1 8:1 /x\n3 1 8:1 / /a rw\n";
        assert_eq!(volume(odd, "/a"), lasting("ext4"));
        assert!(mount_of(b"", Path::new("/a")).is_none());
    }

    #[test]
    fn a_path_is_written_with_octal_escapes() {
        for (written, meant) in
            [(r"/a\040b\011c\012d\134e", "/a b\tc\nd\\e"), (r"/a\", r"/a\"), (r"/\9zz", r"/\9zz")]
        {
            assert_eq!(path(written.as_bytes()), Path::new(meant), "{written}");
        }
    }

    #[test]
    fn each_kind_of_volume_has_a_finding_and_only_an_empty_dir_fails() {
        use crate::port::CheckResult::{Failed, NotCheckable, Passed};
        for (volume, result) in [
            (lasting("ext4"), Passed),
            (Volume::NotNeeded, Passed),
            (Volume::Lasting(None), NotCheckable),
            (Volume::Doubtful("tmpfs".to_owned()), NotCheckable),
            (Volume::EmptyDir, Failed),
        ] {
            let finding = volume.finding();
            assert_eq!(finding.result, result, "{volume:?}");
            assert_eq!(finding.advice.contains("ephemeral"), result != Passed, "{volume:?}");
        }
    }
}
