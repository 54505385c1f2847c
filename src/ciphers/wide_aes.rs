//! Decrypts TLS 1.3's AES-128 by ring where the processor's vectors for AES are wide, but not AVX-512's: AMD's Zen 3 (EC2's
//! c6a, m6a and r6a) and Intel's for desktops since 2021. There AWS-LC takes twice as long, for its wide code is AVX-512's, until
//! <https://github.com/aws/aws-lc/pull/2934> is in. All else stays AWS-LC's.
//!
//! Must not decide which cipher is asked for.

use ring::aead;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter, Nonce,
    Tls13AeadAlgorithm, UnsupportedOperationError, make_tls13_aad,
};
use tokio_rustls::rustls::{
    CipherSuite, CipherSuiteCommon, ConnectionTrafficSecrets, Error, SupportedCipherSuite, Tls13CipherSuite,
};

/// Whether ring decrypts in less time here than AWS-LC does.
pub(super) fn is_quicker_by_ring() -> bool {
    is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
        && is_x86_feature_detected!("avx2")
        && !is_x86_feature_detected!("avx512f")
}

/// Has AES-128-GCM decrypted so, and leaves all else as it is. What is made for it stays for good: once for each process.
pub(super) fn decrypt_by_ring(provider: &mut CryptoProvider) {
    for suite in &mut provider.cipher_suites {
        if let SupportedCipherSuite::Tls13(theirs) = suite
            && theirs.common.suite == CipherSuite::TLS13_AES_128_GCM_SHA256
        {
            *suite = SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: CipherSuiteCommon { ..theirs.common },
                hkdf_provider: theirs.hkdf_provider,
                aead_alg: Box::leak(Box::new(DecryptedByRing(theirs.aead_alg))),
                quic: theirs.quic,
            })));
        }
    }
}

/// Around AWS-LC's.
struct DecryptedByRing(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for DecryptedByRing {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        match aead::UnboundKey::new(&aead::AES_128_GCM, key.as_ref()) {
            Ok(key) => Box::new(Decrypter { key: aead::LessSafeKey::new(key), iv }),
            // A key of another length, which is not AES-128's.
            Err(_) => self.0.decrypter(key, iv),
        }
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(&self, key: AeadKey, iv: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }
}

/// What one side of a connection sends, decrypted where it stands.
struct Decrypter {
    key: aead::LessSafeKey,
    iv: Iv,
}

impl MessageDecrypter for Decrypter {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        number: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let nonce = aead::Nonce::assume_unique_for_key(Nonce::new(&self.iv, number).0);
        // What goes with a record unencrypted is its length as it came, its tag included (RFC 8446, section 5.2).
        let beside = aead::Aad::from(make_tls13_aad(message.payload.len()));
        let plain = self.key.open_in_place(nonce, beside, &mut message.payload).map_err(|_| Error::DecryptError)?.len();
        message.payload.truncate(plain);
        message.into_tls13_unpadded_message()
    }
}

#[cfg(test)]
mod tests {
    use super::super::quick_first;
    use super::*;
    use rcgen::generate_simple_self_signed;
    use std::io::{Read, Write};
    use std::sync::Arc;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{
        ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    };

    /// A client whose records are decrypted by ring, and a server by AWS-LC, whatever this processor has.
    fn pair() -> (Connection, Connection) {
        let mut by_ring = quick_first();
        decrypt_by_ring(&mut by_ring);
        let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(quick_first()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(by_ring))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        (client.into(), ServerConnection::new(Arc::new(server)).unwrap().into())
    }

    /// What one has to send, as the other gets it; with a bit changed on the way, if one is named.
    fn carry(from: &mut Connection, to: &mut Connection, changed: Option<usize>) -> Result<(), Error> {
        let mut sent = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut sent).unwrap();
        }
        if let Some(at) = changed {
            sent[at] ^= 1;
        }
        let mut rest = &sent[..];
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            to.process_new_packets()?;
        }
        Ok(())
    }

    fn shaken() -> (Connection, Connection) {
        let (mut client, mut server) = pair();
        while client.is_handshaking() || server.is_handshaking() {
            carry(&mut client, &mut server, None).unwrap();
            carry(&mut server, &mut client, None).unwrap();
        }
        let suite = client.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
        (client, server)
    }

    #[test]
    fn what_aws_lc_encrypts_is_read_and_answered() {
        let (mut client, mut server) = shaken();
        for length in [1, 15, 16, 17, 1_000, 16_384] {
            let picture: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
            for is_answer in [true, false] {
                let (from, to) = if is_answer { (&mut server, &mut client) } else { (&mut client, &mut server) };
                from.writer().write_all(&picture).unwrap();
                carry(from, to, None).unwrap();
                let mut read = vec![0; length];
                to.reader().read_exact(&mut read).unwrap();
                assert_eq!(read, picture);
            }
        }
    }

    #[test]
    fn what_was_changed_on_the_way_is_refused() {
        // The first byte after a record's header, and one of its tag.
        for at in [5, 5 + 100 + 1] {
            let (mut client, mut server) = shaken();
            server.writer().write_all(&[7; 100]).unwrap();
            assert_eq!(carry(&mut server, &mut client, Some(at)).unwrap_err(), Error::DecryptError);
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let (mut client, _) = shaken();
        // An application's record of three bytes, where a tag alone has 16.
        client.read_tls(&mut &[23, 3, 3, 0, 3, 1, 2, 3][..]).unwrap();
        assert_eq!(client.process_new_packets().unwrap_err(), Error::DecryptError);
    }
}
