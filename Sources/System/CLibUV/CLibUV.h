#pragma once

#include <sys/socket.h>
#include <uv.h>

// Of Linux, not of POSIX, and so hidden from Swift.
extern int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
