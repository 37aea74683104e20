// Linked into a program, it takes the place of the C library's resolver for the one name changing.test: the first time it is
// asked for leads to the first answer in $CHANGING_NAMES, the next time to the next, and from the last on always to that.
// Answers are divided by semicolons, the addresses of one answer by commas; for "never" there is none. So a name changes what it leads to between a
// check and a connection just when the test says so.

#define _GNU_SOURCE
#include "ChangingNames.h"
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static atomic_int times_asked;

// Copies what stands between the separators before and after the n-th part, or the last one.
static void part(char *into, size_t size, const char *text, char separator, int number)
{
    const char *end;
    while ((end = strchr(text, separator)) && number-- > 0)
        text = end + 1;
    snprintf(into, size, "%.*s", end ? (int)(end - text) : (int)strlen(text), text);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    resolver *next = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *answers = getenv("CHANGING_NAMES");
    if (!answers || !name || strcmp(name, "changing.test") != 0)
        return next(name, service, hints, result);
    char answer[512], address[64];
    part(answer, sizeof answer, answers, ';', atomic_fetch_add(&times_asked, 1));
    while (strcmp(answer, "never") == 0)
        pause();
    int count = 1;
    for (const char *c = answer; *c; c++)
        count += *c == ',';
    // Each address is a list of its own, whose members are freed one by one.
    struct addrinfo **last = result;
    for (int i = 0; i < count; i++) {
        part(address, sizeof address, answer, ',', i);
        int status = next(address, service, hints, last);
        if (status != 0)
            return status;
        while (*last)
            last = &(*last)->ai_next;
    }
    return 0;
}
