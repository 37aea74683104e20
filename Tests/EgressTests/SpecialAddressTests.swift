import TestSupport
import Testing

@testable import Egress

@Suite("Addresses that are no place on the internet")
struct SpecialAddressTests {
    /// First and last address of each range in the IANA registries (iana-ipv4-special-registry, iana-ipv6-special-registry,
    /// the multicast and the unicast registries), and the metadata services of clouds.
    @Test(
        "The ends of each special range are refused, and its neighbours are what they are",
        arguments: [
            // Range's first, last, and the addresses on either side where they are public.
            ("0.0.0.0", "0.255.255.255", nil, "1.0.0.0", SpecialAddress.unspecified),
            ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0", .private),
            ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0", .shared),
            ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0", .loopback),
            ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0", .linkLocal),
            ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0", .private),
            ("192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0", .protocolAssignment),
            ("192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0", .documentation),
            ("192.31.196.0", "192.31.196.255", "192.31.195.255", "192.31.197.0", .protocolAssignment),
            ("192.52.193.0", "192.52.193.255", "192.52.192.255", "192.52.194.0", .protocolAssignment),
            ("192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0", .transition),
            ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0", .private),
            ("192.175.48.0", "192.175.48.255", "192.175.47.255", "192.175.49.0", .protocolAssignment),
            ("198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0", .benchmarking),
            ("198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0", .documentation),
            ("203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0", .documentation),
            ("224.0.0.0", "239.255.255.255", "223.255.255.255", nil, .multicast),
            ("240.0.0.0", "255.255.255.254", nil, nil, .reserved),
            ("255.255.255.255", "255.255.255.255", nil, nil, .broadcast),

            ("::", "::", nil, nil, .unspecified),
            ("::1", "::1", nil, nil, .loopback),
            ("::2", "::ffff:ffff", nil, nil, .transition),
            ("::ffff:0:0:0", "::ffff:0:ffff:ffff", nil, nil, .reserved),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", nil, nil, .transition),
            ("100::", "100::ffff:ffff:ffff:ffff", nil, nil, .protocolAssignment),
            ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", nil, nil, .protocolAssignment),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff::", nil, .transition),
            ("2001:1::", "2001:1:ffff::", nil, nil, .protocolAssignment),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", nil, nil, .benchmarking),
            ("2001:2:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", nil, "2001:200::", .protocolAssignment),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7::", "2001:db9::", .documentation),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff::", "2003::", .transition),
            (
                "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "2620:4f:7fff::", "2620:4f:8001::",
                .protocolAssignment
            ),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe::", "3fff:1000::", .documentation),
            ("4000::", "5eff::", nil, nil, .reserved),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil, .protocolAssignment),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil, .uniqueLocal),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil, .linkLocal),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil, .uniqueLocal),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil, .multicast),

            ("169.254.169.254", "169.254.169.254", nil, nil, .metadata),
            ("169.254.170.2", "169.254.170.2", nil, nil, .metadata),
            ("168.63.129.16", "168.63.129.16", "168.63.129.15", "168.63.129.17", .metadata),
            ("100.100.100.200", "100.100.100.200", nil, nil, .metadata),
            ("192.0.0.192", "192.0.0.192", nil, nil, .metadata),
            ("fd00:ec2::254", "fd00:ec2::254", nil, nil, .metadata),
            ("fd20:ce::254", "fd20:ce::254", nil, nil, .metadata),
            ("fd00:42::42", "fd00:42::42", nil, nil, .metadata),
        ] as [(String, String, String?, String?, SpecialAddress)])
    func table(first: String, last: String, before: String?, after: String?, kind: SpecialAddress) throws {
        for address in [first, last] { #expect(SpecialAddress(try #require(IPAddress(address))) == kind, "\(address)") }
        for address in [before, after].compactMap({ $0 }) {
            #expect(SpecialAddress(try #require(IPAddress(address))) == nil, "\(address)")
        }
    }

    @Test(
        "Public addresses are none of them",
        arguments: [
            "1.1.1.1", "8.8.8.8", "93.184.215.14", "100.128.0.1", "172.32.0.1",
            "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
            "2a00:1450:4001:81b::200e", "2001:4860:4860::8888", "::ffff:8.8.8.8",
        ])
    func `public`(address: String) throws { #expect(SpecialAddress(try #require(IPAddress(address))) == nil) }

    @Test("An address is what it is, also when it is mapped into IPv6 or translated to it")
    func embedded() throws {
        var numbers = SeededNumbers(seed: 1)
        let destination = try EgressGuard().destination("https://receiver.example/")
        var refused = 0
        for _ in 0..<100_000 {
            let bits = UInt32.random(in: 0 ... .max, using: &numbers)
            let plain = IPAddress(ipv4: bits)
            let verdict = EgressGuard().refusal(of: plain, for: destination)?.kind
            for prefix in [0xffff << 32, 0x64_ff9b << 96] as [UInt128] {
                let embedded = IPAddress(ipv6: prefix | UInt128(bits))
                #expect(EgressGuard().refusal(of: embedded, for: destination)?.kind == verdict, "\(embedded)")
            }
            // These lead to it, or somewhere else, by relays that nobody vouches for.
            for address in [UInt128(bits), 0x2002 << 112 | UInt128(bits) << 80, 0x2001 << 112 | UInt128(~bits)] {
                #expect(EgressGuard().refusal(of: IPAddress(ipv6: address), for: destination) != nil)
            }
            refused += verdict == nil ? 0 : 1
        }
        // A seventh of IPv4 is special.
        #expect((12_000...18_000).contains(refused))
    }

    @Test("Of IPv6 nothing but global unicast is let pass")
    func unicast() throws {
        var numbers = SeededNumbers(seed: 2)
        let destination = try EgressGuard().destination("https://receiver.example/")
        var passed = 0
        for _ in 0..<100_000 {
            let bits = UInt128.random(in: 0 ... .max, using: &numbers)
            guard EgressGuard().refusal(of: IPAddress(ipv6: bits), for: destination) == nil else { continue }
            passed += 1
            #expect(bits >> 125 == 1)
        }
        #expect(passed > 12_000)
    }

    @Test("Addresses are read and written in one form")
    func text() throws {
        for (text, form) in [
            ("192.0.2.7", "192.0.2.7"), ("::FFFF:192.0.2.7", "192.0.2.7"), ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::", "::"),
            ("64:ff9b::192.0.2.7", "64:ff9b::c000:207"),
        ] { #expect(IPAddress(text)?.description == form) }
        for text in [
            "", "1", "127.1", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "256.0.0.1", "1.2.3.4.5", " 1.2.3.4",
            "1.2.3.4 ",
            "fe80::1%eth0", "[::1]", "::1::", "12345::",
        ] { #expect(IPAddress(text) == nil, "\(text)") }
        var numbers = SeededNumbers(seed: 3)
        for _ in 0..<10_000 {
            let address = IPAddress(ipv6: .random(in: 0 ... .max, using: &numbers))
            #expect(IPAddress(address.description) == address)
        }
    }
}
