//! Which file systems are known to be remote: their locks and links do not bind other machines, or only sometimes.

use std::path::Path;

/// The name of the network file system that holds `path`; none for a local one, and where the system cannot tell (anything but Linux).
#[cfg(target_os = "linux")]
pub(super) fn network_file_system(path: &Path) -> std::io::Result<Option<&'static str>> {
    let found = rustix::fs::statfs(path)?.f_type;
    // The field's type differs between machines; the magic numbers are 32 bits wide in all of them.
    Ok(name(found as u32))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn network_file_system(_path: &Path) -> std::io::Result<Option<&'static str>> {
    Ok(None)
}

/// Magic numbers of `linux/magic.h` and of the file systems' own sources.
#[cfg(target_os = "linux")]
fn name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xfe53_4d42 => "SMB",
        0xff53_4d42 => "CIFS",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x1983_0326 => "BeeGFS",
        0x786f_4256 => "VirtualBox shared folder",
        // sshfs, s3fs and the shared folders of virtual machines are all FUSE; a local one cannot be told from them.
        0x6573_5546 => "FUSE",
        _ => return None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_known_by_its_number_and_a_local_one_passes() {
        assert_eq!(name(0x6969), Some("NFS"));
        assert_eq!(name(0xff53_4d42), Some("CIFS"));
        assert_eq!(name(0x6573_5546), Some("FUSE"));
        for local in [0xef53, 0x0102_1994, 0x5846_5342, 0x9123_683e, 0x794c_7630] {
            assert_eq!(name(local), None);
        }
    }
}
