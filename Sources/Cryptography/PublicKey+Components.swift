internal import COpenSSL

extension PublicKey {
    /// An RSA key from its modulus and public exponent, big-endian without leading zeros (RFC 7518 §6.3.1).
    ///
    /// Refuses an exponent that makes a signature anybody's: less than 3, even, or longer than 8 bytes, where checking
    /// one would take long.
    public init(rsaModulus modulus: [UInt8], exponent: [UInt8]) throws(CryptographyError) {
        guard let first = modulus.first, first != 0, (1...8).contains(exponent.count), exponent[0] != 0,
            exponent.last! & 1 == 1, exponent != [1]
        else { throw CryptographyError("not an RSA public key") }
        let key = DER.sequence(DER.integer(modulus) + DER.integer(exponent))
        // rsaEncryption with NULL parameters (RFC 8017 A.1).
        let algorithm: [UInt8] = [
            0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
        ]
        try self.init(subjectPublicKeyInfo: DER.sequence(algorithm + DER.bitString(key)), "not an RSA public key")
    }

    /// A key on the curve P-256 from the coordinates of its point, 32 bytes each (RFC 7518 §6.2.1). A point that is not
    /// on the curve is refused.
    public init(p256X x: [UInt8], y: [UInt8]) throws(CryptographyError) {
        guard x.count == 32, y.count == 32 else { throw CryptographyError("not a point of P-256") }
        // id-ecPublicKey with the curve prime256v1 (RFC 5480 §2.1.1).
        let algorithm: [UInt8] = [
            0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D,
            0x03, 0x01, 0x07,
        ]
        try self.init(
            subjectPublicKeyInfo: DER.sequence(algorithm + DER.bitString([0x04] + x + y)), "not a point of P-256")
    }

    /// The coordinates of the point of a key on P-256, 32 bytes each (RFC 7518 §6.2.1); `nil` for every other key.
    public var p256Coordinates: (x: [UInt8], y: [UInt8])? {
        guard kind == .p256, let x = coordinate("qx"), let y = coordinate("qy") else { return nil }
        return (x, y)
    }

    private func coordinate(_ name: String) -> [UInt8]? {
        var number: OpaquePointer?
        guard EVP_PKEY_get_bn_param(pointer, name, &number) == 1, let number else {
            discardOpenSSLErrors()
            return nil
        }
        defer { BN_free(number) }
        return [UInt8](unsafeUninitializedCapacity: 32) { bytes, count in
            count = max(0, Int(BN_bn2binpad(number, bytes.baseAddress, 32)))
        }
    }

    private init(subjectPublicKeyInfo der: [UInt8], _ complaint: String) throws(CryptographyError) {
        defer { discardOpenSSLErrors() }
        let pointer = der.withUnsafeBufferPointer { buffer -> OpaquePointer? in
            var cursor = buffer.baseAddress
            return d2i_PUBKEY(nil, &cursor, buffer.count)
        }
        guard let pointer else { throw CryptographyError(complaint) }
        self.init(PEMKey(owning: pointer))
    }
}

/// The few forms of ASN.1's DER that a public key is made of (X.690).
private enum DER {
    static func sequence(_ content: [UInt8]) -> [UInt8] { element(0x30, content) }

    /// A positive integer: one whose first bit is set is preceded by a zero, or it would count as negative.
    static func integer(_ magnitude: [UInt8]) -> [UInt8] {
        element(0x02, magnitude[0] & 0x80 == 0 ? magnitude : [0] + magnitude)
    }

    /// Whole bytes: none of the last one's bits is unused.
    static func bitString(_ content: [UInt8]) -> [UInt8] { element(0x03, [0] + content) }

    private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        let length: [UInt8] =
            switch count {
            case ..<0x80: [UInt8(count)]
            case ..<0x100: [0x81, UInt8(count)]
            default: [0x82, UInt8(count >> 8), UInt8(count & 0xFF)]
            }
        return [tag] + length + content
    }
}
