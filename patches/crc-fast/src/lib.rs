//! Stands in for the crate crc-fast, which has tables and vector code for some fifty checksums: 0.7 MB of Easel's binary.
//! object_store, which brings it, computes one of them, for buckets that are told to check uploads by it.
//!
//! Must offer what object_store uses, under the same names, and nothing else.

use crc::{CRC_64_NVME, Crc, Table};

static NVME: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_NVME);

/// Which checksum.
#[derive(Clone, Copy, Debug)]
pub enum CrcAlgorithm {
    /// S3's `x-amz-checksum-crc64nvme`.
    Crc64Nvme,
}

/// A checksum under way.
pub struct Digest(crc::Digest<'static, u64, Table<1>>);

impl Digest {
    /// Of nothing so far.
    pub fn new(CrcAlgorithm::Crc64Nvme: CrcAlgorithm) -> Self {
        Self(NVME.digest())
    }

    /// Takes in more.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all that was taken in.
    pub fn finalize(self) -> u64 {
        self.0.finalize()
    }
}
