import Testing

@testable import Schema

@Suite("Formats")
struct FormatTests {
    @Test(
        "take what their standards describe",
        arguments: [
            (
                .date, ["1963-06-19", "2020-02-29", "2000-02-29", "0001-01-01"],
                [
                    "1963-6-19", "2021-02-29", "1900-02-29", "1998-13-01", "1998-04-31", "06/19/1963", "20230328",
                    "2023-W01", "1963-06-1\u{9EA}", "", "2020-00-10", "2020-01-00",
                ]
            ),
            (
                .dateTime,
                [
                    "1963-06-19T08:30:06.283185Z", "1990-12-31T15:59:50.123-08:00", "1998-12-31T23:59:60Z",
                    "1998-12-31T15:59:60.123-08:00", "1963-06-19t08:30:06z", "1937-01-01T12:00:27.87+00:20",
                ],
                [
                    "1998-12-31T23:59:61Z", "1998-12-31T23:58:60Z", "1998-12-31T22:59:60Z",
                    "1990-02-31T15:59:59.123-08:00", "1990-12-31T15:59:59-24:00", "1963-06-19T08:30:06.28123+01:00Z",
                    "06/19/1963 08:30:06 PST", "2013-350T01:01:01", "1963-06-19T08:30:06", "1963-06-19 08:30:06Z",
                    "1963-06-19T08:30:06.Z",
                ]
            ),
            (
                .time, ["08:30:06Z", "23:59:60Z", "01:29:60+01:30", "23:20:50.52Z", "08:30:06-08:00"],
                [
                    "008:030:006Z", "8:3:6Z", "22:59:60Z", "24:00:00Z", "12:00:00", "12:00:00+24:00", "08:30:06#00:20",
                    "23:59:59+",
                ]
            ),
            (
                .uuid,
                [
                    "2EB8AA08-AA98-11EA-B4AA-73B441D16380", "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
                    "00000000-0000-0000-0000-000000000000",
                ],
                [
                    "2eb8aa08-aa98-11ea-b4aa-73b441d1638", "2eb8aa08aa9811eab4aa73b441d16380",
                    "2eb8-aa08-aa98-11ea-b4aa73b44-1d16380", "2eb8aa08-aa98-11ea-b4ga-73b441d16380", "",
                ]
            ),
            (
                .email,
                ["joe.bloggs@example.com", "te~st@example.com", "a..b.@docomo.example.ne.jp", "名前@例え.jp", "a@b"],
                [
                    "2962", "@example.com", "a@", "a@b@c", "a b@example.com", "a@example..com", "a@.com", "<a@b.c>",
                    "a@b.c\n", String(repeating: "x", count: 65) + "@example.com",
                ]
            ),
            (
                .uri,
                [
                    "http://foo.bar/?baz=qux#quux", "http://foo.com/blah_(wikipedia)_blah#cite-1",
                    "http://user:p%20w@[::1]:80/%41", "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
                    "mailto:John.Doe@example.com", "tel:+1-816-555-1212", "ftp://ftp.is.co.za/rfc/rfc1808.txt",
                ],
                [
                    "//foo.bar/?baz", "/abc", "\\\\WINDOWS\\share", "abc", "http:// shouldfail.com", ":// no",
                    "bar,baz", "https://[@example.org/x", "https://example.org/foobar\".txt", "https://x/<>",
                    "http://a:b:c/", "http://x/%4", "1http://x", "http://x/#a#b",
                ]
            ),
            (
                .uriReference, ["http://foo.bar/", "//foo.bar/?baz", "/abc", "abc", "?a=1", "#frag", ""],
                ["\\\\WINDOWS", "#frag\\ment", "/a b", "1:b"]
            ),
            (
                .webhookSecret, ["whsec_AAAA", "whsec_+/8=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AA=="],
                ["whsec_AAA", "whsec_A===", "whsec_A-A_", "whsec_A A=", "whpk_AAAA", "AAAA", "", "whsec_AA=A"]
            ),
        ] as [(Format, [String], [String])])
    func forms(format: Format, yes: [String], no: [String]) {
        for text in yes { #expect(format.matches(Array(text.utf8)[...]), "\(text)") }
        for text in no { #expect(!format.matches(Array(text.utf8)[...]), "\(text)") }
    }
}
