# Makes a machine of one's own out of this one and becomes its shell: its file system is this one's, with what is written kept apart and in memory.
# $1: folder with what the machine is to have in its root besides; $2: the folder it works in; HOOKS: the folder of what happens by itself.
set -euo pipefail
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
for folder in dev sys; do
    mount --rbind "/$folder" "/mnt/root/$folder"
done
mount -t proc proc /mnt/root/proc
mount -t tmpfs tmpfs /mnt/root/run
mount -t tmpfs tmpfs /mnt/root/tmp
cp -r "$1/." /mnt/root/
mkdir -p /mnt/root/root/lab /mnt/root/run/hooks
mount --bind "$2" /mnt/root/root/lab
mount --bind "$HOOKS" /mnt/root/run/hooks
export HOOKS=/run/hooks
export HOME=/root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset KUBECONFIG
cd /mnt/root
exec chroot /mnt/root bash -c 'cd /root/lab && exec bash'
