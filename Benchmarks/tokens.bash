# Access tokens of an issuer that is made for one run.

base64url() { basenc --base64url --wrap=0 | tr -d =; }

# Makes an issuer with an RSA key of 2048 bits, and RS256 tokens (RFC 7519), each for another client:
# make_tokens COUNT
#
# Sets `issuer` and `tokens`, a file with one per line; the keys are issuer.pem and issuer.public.pem beside it.
make_tokens() {
    local header claims expiry number
    issuer=https://bench.drawbridge.example
    tokens=$directory/tokens
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$directory/issuer.pem"
    openssl pkey -in "$directory/issuer.pem" -pubout -out "$directory/issuer.public.pem"
    header=$(printf '{"alg":"RS256","typ":"JWT","kid":"bench"}' | base64url)
    expiry=$(($(date +%s) + 86400))
    for ((number = 1; number <= $1; number++)); do
        claims=$(printf '{"iss":"%s","aud":"drawbridge","sub":"client-%d","client_id":"client-%d","exp":%d,%s}' \
            "$issuer" $number $number $expiry '"scope":"availability:read hotel:read","hotel_ids":[1,2,3]' | base64url)
        printf '%s.%s.%s\n' "$header" "$claims" "$(printf %s "$header.$claims" |
            openssl dgst -sha256 -sign "$directory/issuer.pem" | base64url)"
    done >"$tokens"
}

# The issuer's key as a JWK Set (RFC 7517); 65537 is the exponent of every key that OpenSSL makes.
key_set() {
    printf '{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"bench","e":"AQAB","n":"%s"}]}' \
        "$(openssl rsa -pubin -in "$directory/issuer.public.pem" -noout -modulus | sed 's/Modulus=//' |
            basenc --base16 --decode | base64url)"
}
