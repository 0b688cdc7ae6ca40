// /dev/net/tun, and the interface's settings by netdevice(7).
#include "io/tun_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr const char* kDevice = "/dev/net/tun";

class Descriptor {
 public:
  explicit Descriptor(Fd fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Fd get() const { return fd_; }
  Fd release() { return std::exchange(fd_, -1); }

 private:
  Fd fd_;
};

std::unexpected<Error> failed(const std::string& name, std::string_view step, int error) {
  std::string_view hint;
  if (error == EACCES)
    hint = "; the user may not open it: `chmod 666` it, as most systems have it";
  else if (error == EPERM)
    hint =
        "; it needs CAP_NET_ADMIN: start as root, or `setcap cap_net_raw,cap_net_admin+ep` on "
        "the binary";
  else if (error == EBUSY)
    hint = "; another process has it: choose another name";
  return fail(fmt::format("tun device {}: {}: {}{}", name, step, std::strerror(error), hint),
              error);
}

ifreq request_for(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return request;
}

// in6_ifreq of linux/ipv6.h, which does not go together with the C library's headers everywhere.
int add_address(const std::string& name, const IpAddress& address) {
  const SocketAddress socket_address(address, 0);
  const Descriptor socket(::socket(socket_address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return errno;
  ifreq request = request_for(name);
  if (!address.is_v4()) {
    if (::ioctl(socket.get(), SIOCGIFINDEX, &request) != 0) return errno;
    in6_ifreq v6{.ifr6_addr = {}, .ifr6_prefixlen = 128, .ifr6_ifindex = request.ifr_ifindex};
    std::memcpy(&v6.ifr6_addr, address.bytes.data(), address.bytes.size());
    if (::ioctl(socket.get(), SIOCSIFADDR, &v6) == 0 || errno == EEXIST) return 0;
    return errno;
  }
  std::memcpy(&request.ifr_addr, socket_address.data(), socket_address.size());
  if (::ioctl(socket.get(), SIOCSIFADDR, &request) != 0) return errno;
  const SocketAddress all(IpAddress::from_v4(UINT32_MAX), 0);
  std::memcpy(&request.ifr_netmask, all.data(), all.size());
  return ::ioctl(socket.get(), SIOCSIFNETMASK, &request) == 0 ? 0 : errno;
}

Result<void> configure(const TunOptions& options) {
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(options.name);
  request.ifr_mtu = static_cast<int>(options.mtu);
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) return failed(options.name, "MTU", errno);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0)
    return failed(options.name, "flags", errno);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return failed(options.name, "up", errno);
  // One address of a family has the device's own name; each further one a label.
  int number = 0;
  for (const IpAddress& address : options.addresses) {
    const bool label = address.is_v4() && number++ > 0;
    const std::string name = label ? fmt::format("{}:{}", options.name, number - 1) : options.name;
    if (const int error = add_address(name, address); error != 0)
      return failed(options.name, address.to_string(), error);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TunDevice>> TunDevice::open(const TunOptions& options) {
  constexpr size_t kLabel = 4;  // ":999"
  if (options.name.empty() || options.name.size() + kLabel >= IFNAMSIZ)
    return fail(fmt::format("tun device {}: a name has 1 to {} characters", options.name,
                            IFNAMSIZ - kLabel - 1));
  Descriptor device(::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (device.get() < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENODEV)
      return fail(fmt::format("tun device {}: there is no {}; `modprobe tun`, or give the "
                              "container the device",
                              options.name, kDevice),
                  error);
    return failed(options.name, kDevice, error);
  }
  ifreq request = request_for(options.name);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0)
    return failed(options.name, "TUNSETIFF", errno);
  SHUNT_TRY(configure(options));
  return std::make_unique<TunDevice>(Private(), device.release(), options.name);
}

TunDevice::~TunDevice() {
  ::close(fd_);
}

int TunDevice::inject(const VnetHeader& header, std::span<const uint8_t> packet) {
  return inject(header, {&packet, 1});
}

int TunDevice::inject(const VnetHeader& header, std::span<const std::span<const uint8_t>> parts) {
  SHUNT_ASSERT(parts.size() <= kPartsMost);
  iovec all[kPartsMost + 1];
  all[0] = {const_cast<VnetHeader*>(&header), sizeof header};
  for (size_t i = 0; i < parts.size(); ++i)
    all[i + 1] = {const_cast<uint8_t*>(parts[i].data()), parts[i].size()};
  return ::writev(fd_, all, static_cast<int>(parts.size() + 1)) < 0 ? -errno : 0;
}

}  // namespace shunt::io
