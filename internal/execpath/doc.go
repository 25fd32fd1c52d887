// Package execpath finds the direct execution path of an image: which files run, may be loaded, or are read, from the
// image's entrypoint on. It looks at the files alone; nothing is run.
//
// Every regular file has one tier:
//
//	direct     what runs for certain: the programs that the entrypoint and its arguments name, through PATH and #! lines,
//	           commands that a shell script among them names, their dynamic loader, and all libraries that these need,
//	           found as glibc's loader finds them (rpath, runpath, $ORIGIN, LD_LIBRARY_PATH and LD_PRELOAD of the image's
//	           environment, /etc/ld.so.preload, ld.so.cache, the loader's own directories); all variants for better
//	           processors (glibc-hwcaps) count
//	loadable   what those may load while they run, and all that it needs: dlopen notes, names of libraries in code that
//	           calls dlopen, and the plug-in conventions of NSS, PAM, gconv, OpenSSL, Python, Perl, httpd, nginx, the JVM
//	           and of libraries that have a directory of modules
//	data       what is neither program nor library, of packages that are on the path or hold nothing else but scripts, and
//	           of no package
//	idle       the rest: programs and libraries that are not on the static path, and packages that hold nothing else
//
// Where programs have their modules is read from the image: from its configuration and from what is compiled into the
// programs themselves. What cannot be seen this way: a program that another one runs (but for a shell script's), plug-ins
// without a convention, what is mounted at run time. So idle never means that something could not be reached.
package execpath
