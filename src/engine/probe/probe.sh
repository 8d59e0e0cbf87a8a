# Tells what a node is, once, and how it fares, every $interval seconds, $rounds times. Sent to the standard input of `sh`
# behind a line that sets these two; writes to standard output only and leaves nothing behind.
#
# It prints and does not judge: files as `path:line` (grep with several files), single answers as `key:answer`, and what has
# several lines after a line that begins with `@`. What a host does not have is not printed. One process for the files a
# round and one `sleep` a second; what costs more only every sixth round. Ends by itself as soon as nobody reads it any more.
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
exec 2>/dev/null
{
printf '@hello\n' || exit 0
printf '@facts\n'
printf 'uname:%s\n' "$(uname -srm)"
printf 'hostname:%s\n' "$(hostname || uname -n)"
printf 'cpus:%s\n' "$(getconf _NPROCESSORS_ONLN || nproc)"
printf 'model:%s\n' "$(tr -d '\000' </proc/device-tree/model)"
printf 'time:%s\n' "$(date +%s)"
grep '' /dev/null /etc/os-release /etc/machine-id /proc/sys/kernel/random/boot_id \
  /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name /sys/fs/cgroup/cgroup.controllers \
  /proc/cgroups /run/cloud-init/status.json /run/cloud-init/result.json
test -e /run/cloud-init/disabled && printf 'cloud-init:disabled\n'
test -d /run/systemd/system && printf 'init:systemd\n'
printf '@cpu\n'
grep -E '^(model name|CPU implementer|CPU part|Hardware)' /proc/cpuinfo | sort -u
printf '@addresses\n'
ip -o addr show
printf '@programs\n'
for program in apt-get dnf yum zypper apk pacman opkg sudo doas su systemctl docker podman snap setsid curl; do
  command -v "$program"
done
printf '@clock\n'
timedatectl show -p NTPSynchronized || timedatectl status
test -e /run/systemd/timesync/synchronized && printf 'timesyncd:yes\n'
timedatectl timesync-status
printf 'chrony:%s\n' "$(chronyc -n -c tracking)"
printf '@facts\n'
printf 'virtualisation:%s\n' "$(systemd-detect-virt)"
test -e /.dockerenv && printf 'virtualisation:docker\n'
test -e /run/.containerenv && printf 'virtualisation:podman\n'
grep -q -E '^flags.* hypervisor' /proc/cpuinfo && printf 'hypervisor:yes\n'
test -e /usr/share/update-notifier/notify-reboot-required && printf 'reboot-told:yes\n'
test -e /run/reboot-required && printf 'reboot:needed\n'
round=0
rare=0
while :; do
  printf '@sample\n' || exit 0
  grep -E '^(cpu |Mem|Swap[TF]|[0-9a-f]+$|[0-9][.0-9]* )|: *[0-9][0-9 ]*$' /dev/null \
    /proc/uptime /proc/loadavg /proc/stat /proc/meminfo /proc/net/dev \
    /sys/class/thermal/thermal_zone0/temp /sys/class/thermal/thermal_zone[1-9]*/temp \
    /sys/class/hwmon/hwmon[0-9]*/temp1_input /sys/devices/platform/soc/soc:firmware/get_throttled
  test -e /proc/loadavg || printf 'uptime:%s\n' "$(uptime)"
  if test "$rare" = 0; then
    rare=6
    printf '@disks\n'
    df -P -k / $(grep -E '^[^ ]+ [^ ]+ (ext[234]|xfs|btrfs|zfs|f2fs|vfat|exfat|bcachefs|jfs|ufs) ' /proc/mounts | cut -d ' ' -f 2)
    if units=$(systemctl list-units --failed --plain --no-legend); then
      printf '@units\n%s\n' "$units"
    fi
    printf '@rare\n'
    printf 'vcgencmd:%s\n' "$(vcgencmd get_throttled)"
    printf '@cost\n'
    times
  fi
  if test "$round" = 1 && test "$rounds" -gt 2; then
    # After the first figures are out: it may think for a second.
    timeout 8 needs-restarting -r >/dev/null
    printf '@facts\nneeds-restarting:%s\n' "$?"
  fi
  printf '@end\n' || exit 0
  rare=$((rare - 1))
  round=$((round + 1))
  test "$round" = "$rounds" && exit 0
  left=$interval
  if test "$round" = 1; then left=1; fi
  # In small steps: who finds that nobody reads any more also frees the session that the host counts.
  while test "$left" -gt 0; do
    sleep 1
    printf '\n' || exit 0
    left=$((left - 1))
  done
done
}
