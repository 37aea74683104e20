#include <sys/time.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
