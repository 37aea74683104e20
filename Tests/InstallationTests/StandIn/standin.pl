#!/usr/bin/perl
# Stands in for drawbridge-gateway, drawbridge-bridge and drawbridge-ledger in tests of the supervisor: keeps to the contract between them,
# answers every connection on its first socket with a line that names the process, and drains for a moment.
use strict;
use warnings;
use IO::Select;
use IO::Socket;
use IO::Socket::UNIX;

my %option = @ARGV % 2 ? (@ARGV, '') : @ARGV;
my ($program) = $0 =~ m{([^/]+)$};
my $name = defined $option{'--worker'} ? "gateway-$option{'--worker'}" : $program =~ s/^drawbridge-//r;
my $home = $option{'--home'} || '';
my $journal = "$home/journal";

sub note {
    open my $file, '>>', $journal or return;
    syswrite $file, "$name $_[0]\n";
}

if (grep { $_ eq '--migrate' } @ARGV) {
    $name = 'migrate';
    note('waits') if -e "$home/wait-for-migrate";
    select undef, undef, undef, 0.01 while -e "$home/wait-for-migrate";
    note(defined $ENV{DATABASE_URL} ? 'migrates' : 'has no database');
    exit(-e "$home/migrations.sql" ? system('psql', '-qX1', $ENV{DATABASE_URL}, '-f', "$home/migrations.sql") >> 8 : 0);
}

exit 78 if -e "$home/fail-$name";
note("starts with $ENV{LISTEN_FDNAMES}" . (defined $ENV{DATABASE_URL} ? ' and a database' : ''));
syscall(157, 1, 15, 0, 0, 0);    # prctl(PR_SET_PDEATHSIG, SIGTERM) on x86-64
setpgrp;

my $stop = 0;
$SIG{TERM} = sub { $stop = 1 };
$SIG{HUP} = sub { note('reloads') };

open my $listener, '+<&=', 3 or die "no socket: $!";
listen($listener, 128) or die "listen: $!";
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die "no notify socket: $!";
$notify->send("READY=1\nDRAWBRIDGE_PROCESS=$name");

my $select = IO::Select->new($listener);
until ($stop) {
    next unless $select->can_read(0.05);
    accept(my $client, $listener) or next;
    syswrite $client, "$name $$ restarts=$ENV{DRAWBRIDGE_RESTARTS}\n";
    close $client;
}
select undef, undef, undef, 0.1;
note('stops');
