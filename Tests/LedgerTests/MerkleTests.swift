import Cryptography
import Testing

@testable import Ledger

/// Roots and proofs as published in the tests of google/certificate-transparency and transparency-dev/merkle
/// (`testonly/constants.go`, "RFC 6962 reference data").
@Suite("Merkle tree")
struct MerkleTests {
    private let leaves = [
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    ]
    private let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]

    private func source() -> HashesInMemory {
        var hasher = MerkleHasher()
        var hashes: [Digest256] = []
        for leaf in leaves {
            let bytes = Hexadecimal.decode(leaf)!
            hashes.append(hasher.leaf(bytes.span))
        }
        return HashesInMemory(leaves: hashes)
    }

    private func digest(_ hexadecimal: String) -> Digest256 {
        let bytes = Hexadecimal.decode(hexadecimal)!
        return Digest256(bytes.span)!
    }

    @Test("Roots are the published ones at every size")
    func publishedRoots() {
        var tree = MerkleTree()
        var hasher = MerkleHasher()
        #expect(
            Hexadecimal.encode(tree.root(&hasher).bytes)
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        for (leaf, root) in zip(source().leaves, roots) {
            tree.append(leaf, &hasher)
            #expect(tree.root(&hasher) == digest(root))
        }
    }

    @Test(
        "Inclusion proofs are the published ones",
        arguments: [
            (0, 1, []),
            (
                0, 8,
                [
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ]
            ),
            (
                5, 8,
                [
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ]
            ),
            (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
            (
                1, 5,
                [
                    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ]
            ),
        ] as [(UInt64, UInt64, [String])])
    func publishedInclusion(index: UInt64, size: UInt64, published: [String]) throws {
        var source = source()
        let proof = try MerkleProof.inclusion(of: index, size: size, from: &source)
        #expect(proof == published.map(digest))
        #expect(
            MerkleProof.isInclusion(
                proof, of: source.leaves[Int(index)], at: index, size: size, root: digest(roots[Int(size) - 1])))
    }

    @Test(
        "Consistency proofs are the published ones",
        arguments: [
            (1, 1, []),
            (
                1, 8,
                [
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ]
            ),
            (
                6, 8,
                [
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ]
            ),
            (
                2, 5,
                [
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ]
            ),
        ] as [(UInt64, UInt64, [String])])
    func publishedConsistency(old: UInt64, new: UInt64, published: [String]) throws {
        var source = source()
        let proof = try MerkleProof.consistency(from: old, to: new, from: &source)
        #expect(proof == published.map(digest))
        #expect(
            MerkleProof.isConsistency(
                proof, oldSize: old, oldRoot: digest(roots[Int(old) - 1]), newSize: new,
                newRoot: digest(roots[Int(new) - 1])))
    }

    @Test("Every proof of every tree up to 40 records holds, and no changed, shortened or lengthened one does")
    func allProofs() throws {
        var hasher = MerkleHasher()
        var hashes: [Digest256] = []
        for number: UInt8 in 0..<40 {
            let bytes = [number]
            hashes.append(hasher.leaf(bytes.span))
        }
        var source = HashesInMemory(leaves: hashes)
        var tree = MerkleTree()
        var roots = [tree.root(&hasher)]
        for leaf in source.leaves {
            tree.append(leaf, &hasher)
            roots.append(tree.root(&hasher))
        }
        let wrong = SHA256.hash("wrong")
        for size in 1...40 {
            for index in 0..<size {
                let proof = try MerkleProof.inclusion(of: UInt64(index), size: UInt64(size), from: &source)
                func holds(_ proof: [Digest256]) -> Bool {
                    MerkleProof.isInclusion(
                        proof, of: source.leaves[index], at: UInt64(index), size: UInt64(size), root: roots[size])
                }
                #expect(holds(proof))
                #expect(!holds(proof + [wrong]))
                if !proof.isEmpty { #expect(!holds(Array(proof.dropLast())) && !holds(proof.dropLast() + [wrong])) }
            }
            for old in 0...size {
                let proof = try MerkleProof.consistency(from: UInt64(old), to: UInt64(size), from: &source)
                func holds(_ proof: [Digest256], _ oldRoot: Digest256) -> Bool {
                    MerkleProof.isConsistency(
                        proof, oldSize: UInt64(old), oldRoot: oldRoot, newSize: UInt64(size), newRoot: roots[size])
                }
                #expect(holds(proof, roots[old]))
                #expect(!holds(proof, wrong))
                #expect(!holds(proof + [wrong], roots[old]))
                if !proof.isEmpty { #expect(!holds(Array(proof.dropLast()), roots[old])) }
            }
        }
    }
}

/// A tree whose records' hashes are all at hand.
struct HashesInMemory: MerkleNodeSource {
    let leaves: [Digest256]

    func hash(_ node: MerkleNode, _ hasher: inout MerkleHasher) throws(LedgerError) -> Digest256 {
        if node.level == 0 { return leaves[Int(node.index)] }
        let left = try hash(MerkleNode(level: node.level - 1, index: node.index * 2), &hasher)
        let right = try hash(MerkleNode(level: node.level - 1, index: node.index * 2 + 1), &hasher)
        return hasher.node(left, right)
    }
}
