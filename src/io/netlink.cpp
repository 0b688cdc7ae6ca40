// The kernel's answers, message by message. See netlink.h.
#include "io/netlink.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace shunt::io {
namespace {

constexpr size_t kReplyMax = 64 * 1024;

}  // namespace

NetlinkSocket::NetlinkSocket(unsigned groups)
    : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups != 0 ? SOCK_NONBLOCK : 0),
                   NETLINK_ROUTE)) {
  const sockaddr_nl address{.nl_family = AF_NETLINK, .nl_groups = groups};
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  if (fd_ >= 0 && ::bind(fd_, any, sizeof address) != 0) {
    const int error = errno;
    ::close(fd_);
    fd_ = -1;
    errno = error;
  }
}

NetlinkSocket::~NetlinkSocket() {
  if (fd_ >= 0) ::close(fd_);
}

std::unexpected<Error> netlink_failed(std::string_view step, int error) {
  return fail(fmt::format("rtnetlink: {}: {}", step, std::strerror(error)), error);
}

IpAddress netlink_address(int family, const void* bytes) {
  if (family == AF_INET) {
    uint32_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return IpAddress::from_v4(ntohl(word));
  }
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes, address.bytes.size());
  return address;
}

size_t address_size(int family) {
  return family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
}

uint32_t word_of(const rtattr* attribute) {
  uint32_t word = 0;
  std::memcpy(&word, RTA_DATA(attribute), std::min(sizeof word, size_t{RTA_PAYLOAD(attribute)}));
  return word;
}

NetlinkDialog::NetlinkDialog() : socket_(0), reply_(kReplyMax) {}

Result<void> NetlinkDialog::ask(std::span<const uint8_t> request) {
  if (socket_.get() < 0) return netlink_failed("socket", errno);
  if (::send(socket_.get(), request.data(), request.size(), 0) < 0)
    return netlink_failed("send", errno);
  return {};
}

Result<const nlmsghdr*> NetlinkDialog::next() {
  if (at_ != nullptr) at_ = NLMSG_NEXT(at_, left_);
  while (at_ == nullptr || !NLMSG_OK(at_, left_)) {
    if (!more_) return nullptr;
    const ssize_t size = ::recv(socket_.get(), reply_.data(), reply_.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return netlink_failed("receive", errno);
    at_ = reinterpret_cast<const nlmsghdr*>(reply_.data());
    left_ = static_cast<unsigned>(size);
    more_ = false;
  }
  if (at_->nlmsg_type == NLMSG_DONE) return nullptr;
  if (at_->nlmsg_type == NLMSG_ERROR)
    return netlink_failed("answer", -static_cast<const nlmsgerr*>(NLMSG_DATA(at_))->error);
  more_ = (at_->nlmsg_flags & NLM_F_MULTI) != 0;
  return at_;
}

}  // namespace shunt::io
