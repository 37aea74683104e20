import Cryptography

/// The signed examples of RFC 7515, appendix A, their keys turned from JWK into PEM.
enum RFC7515 {
    static let payload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

    /// A.1
    static let hs256 =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(payload).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    static let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

    /// A.2
    static let rs256 =
        "eyJhbGciOiJSUzI1NiJ9.\(payload)."
        + "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5juj"
        + "Gbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe"
        + "7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8"
        + "np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    static let modulus =
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Q"
        + "lL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBY"
        + "UsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNm"
        + "oudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"

    /// A.3
    static let es256 =
        "eyJhbGciOiJFUzI1NiJ9.\(payload)."
        + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    static let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
    static let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"

    /// SubjectPublicKeyInfo with the algorithm rsaEncryption (RFC 8017 A.1) and the exponent 65537.
    static var rsaPublicKey: String {
        let number = [0x02, 0x82, 0x01, 0x01, 0x00] + Base64.url.decode(modulus)! + [0x02, 0x03, 0x01, 0x00, 0x01]
        let key = [0x30, 0x82, 0x01, 0x0A] + number
        let algorithm = Hexadecimal.decode("300d06092a864886f70d0101010500")!
        return pem([0x30, 0x82, 0x01, 0x22] + algorithm + [0x03, 0x82, 0x01, 0x0F, 0x00] + key)
    }

    /// SubjectPublicKeyInfo with the algorithm id-ecPublicKey and the curve prime256v1 (RFC 5480).
    static var ecPublicKey: String {
        let algorithm = Hexadecimal.decode("3059301306072a8648ce3d020106082a8648ce3d030107034200")!
        return pem(algorithm + [0x04] + Base64.url.decode(x)! + Base64.url.decode(y)!)
    }

    private static func pem(_ der: [UInt8]) -> String {
        var body = Base64.standard.encode(der)
        var lines = ""
        while !body.isEmpty {
            lines += body.prefix(64) + "\n"
            body = String(body.dropFirst(64))
        }
        return "-----BEGIN PUBLIC KEY-----\n\(lines)-----END PUBLIC KEY-----\n"
    }
}
