//! Which cipher TLS asks for first, whoever asks: a picture is decrypted in less time by AES-128 than by AES-256. And who
//! decrypts it.
//!
//! Must not leave any cipher out: where the other side wants another, it gets it.

#[cfg(target_arch = "x86_64")]
mod wide_aes;

use tokio_rustls::rustls::CipherSuite;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

/// For every client and server of this process that does not bring its own.
pub(crate) fn prefer_the_quick() {
    let mut provider = quick_first();
    #[cfg(target_arch = "x86_64")]
    if wide_aes::is_quicker_by_ring() {
        wide_aes::decrypt_by_ring(&mut provider);
    }
    // Only who comes first is heard, and nobody comes before.
    let _ = provider.install_default();
}

fn quick_first() -> CryptoProvider {
    use CipherSuite as Suite;
    let is_quick = |suite| {
        matches!(
            suite,
            Suite::TLS13_AES_128_GCM_SHA256
                | Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    let mut provider = default_provider();
    // TLS 1.3 stays before 1.2, for a client's list is one of all versions.
    provider.cipher_suites.sort_by_key(|suite| (suite.tls13().is_none(), !is_quick(suite.suite())));
    provider
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_128_comes_first_and_none_is_left_out() {
        let names = |provider: CryptoProvider| -> Vec<_> {
            provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect()
        };
        let (mut before, mut now) = (names(default_provider()), names(quick_first()));
        assert_eq!(now[..2], ["TLS13_AES_128_GCM_SHA256", "TLS13_AES_256_GCM_SHA384"]);
        before.sort();
        now.sort();
        assert_eq!(before, now);
    }
}
