// Nothing is called by name: getaddrinfo is.
