/* Prints a greeting and what a container gave it: arguments, ids, working directory, a setting of its configuration.
   Needs no library, so that it runs in an image that holds nothing else. */
#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, EXIT = 60, GETCWD = 79, GETUID = 102, GETGID = 104, OPENAT = 257 };
__asm__(".global _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
static long call(long n, long a, long b, long c, long d) {
	long r;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return r;
}
#elif defined(__i386__)
enum { READ = 3, WRITE = 4, EXIT = 1, GETCWD = 183, GETUID = 199, GETGID = 200, OPENAT = 295 };
__asm__(".global _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall run\n");
static long call(long n, long a, long b, long c, long d) {
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return r;
}
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, EXIT = 93, GETCWD = 17, GETUID = 174, GETGID = 176, OPENAT = 56 };
__asm__(".global _start\n_start:\n\tmov x0, sp\n\tbl run\n");
static long call(long n, long a, long b, long c, long d) {
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#endif

#define CURRENT_DIRECTORY -100

static char out[4096];
static unsigned long used;

static void put(const char *s) {
	while (*s && used < sizeof out)
		out[used++] = *s++;
}

static void number(unsigned long n) {
	char digits[24], *p = digits + sizeof digits - 1;
	*p = 0;
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	put(p);
}

static void file(const char *name) {
	static char buffer[1024];
	long fd = call(OPENAT, CURRENT_DIRECTORY, (long)name, 0, 0), n = -1;
	if (fd >= 0)
		n = call(READ, fd, (long)buffer, sizeof buffer - 1, 0);
	if (n < 0) {
		put("unreadable\n");
		return;
	}
	buffer[n] = 0;
	put(buffer);
}

__attribute__((used)) static void run(long *stack) {
	static char directory[512];
	char **argument = (char **)(stack + 1);
	put("hello from slimtest " VERSION "\narguments:");
	for (long i = 1; i < stack[0]; i++) {
		put(" ");
		put(argument[i]);
	}
	put("\nuid: ");
	number(call(GETUID, 0, 0, 0, 0));
	put(" gid: ");
	number(call(GETGID, 0, 0, 0, 0));
	put("\ndirectory: ");
	call(GETCWD, (long)directory, sizeof directory, 0, 0);
	put(directory);
	put("\n/etc/hello.conf: ");
	file("/etc/hello.conf");
	call(WRITE, 1, (long)out, used, 0);
	call(EXIT, 0, 0, 0, 0);
}
