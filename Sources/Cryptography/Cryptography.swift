// Cryptography: to be written.
