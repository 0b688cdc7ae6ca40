// What all that talk rtnetlink(7) have in common: a socket, attributes, errors, questions, and
// requests that change something in the host's network. Inside of io only; any thread.
#pragma once

#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/address.h"
#include "core/result.h"

namespace shunt::io {

inline constexpr uint8_t kV4Prefix = 96;  // Of ::ffff:0:0/96, the addresses of IPv4.

class NetlinkSocket {
 public:
  // `groups` to be told of (RTMGRP_…): then it does not wait. get() is negative if there is none,
  // with errno set.
  explicit NetlinkSocket(unsigned groups);
  ~NetlinkSocket();
  NetlinkSocket(const NetlinkSocket&) = delete;
  NetlinkSocket& operator=(const NetlinkSocket&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// One question and its answers.
class NetlinkDialog {
 public:
  NetlinkDialog();
  Result<void> ask(std::span<const uint8_t> request);
  // Good until the next call; null: that was all.
  Result<const nlmsghdr*> next();

 private:
  const NetlinkSocket socket_;
  std::vector<uint8_t> reply_;
  const nlmsghdr* at_ = nullptr;
  unsigned left_ = 0;
  bool more_ = true;  // Behind these bytes.
};

std::unexpected<Error> netlink_failed(std::string_view step, int error);

// Of AF_INET or AF_INET6, from the bytes of an attribute, of which there must be address_size().
IpAddress netlink_address(int family, const void* bytes);
size_t address_size(int family);
uint32_t word_of(const rtattr* attribute);

template <class Visit>
void for_each_attribute(const rtattr* first, size_t size, Visit visit) {
  auto left = static_cast<int>(size);
  for (const rtattr* at = first; RTA_OK(at, left); at = RTA_NEXT(at, left)) visit(at);
}

template <class Message>
std::span<const uint8_t> bytes_of(const Message& message) {
  return {reinterpret_cast<const uint8_t*>(&message), sizeof message};
}

// Sends `request`, a whole message, and hands `visit` (of a const nlmsghdr&) each of the answers
// until the end of a dump, or the only one if it is not a dump. The error: what the kernel said.
template <class Visit>
Result<void> ask_netlink(std::span<const uint8_t> request, Visit visit) {
  NetlinkDialog dialog;
  SHUNT_TRY(dialog.ask(request));
  while (true) {
    const auto message = dialog.next();
    if (!message) return std::unexpected(message.error());
    if (*message == nullptr) return {};
    visit(**message);
  }
}

// A message with a fixed body and attributes behind it.
class NetlinkRequest {
 public:
  // `flags` besides those of a request that wants to know what came of it.
  template <class Body>
  NetlinkRequest(uint16_t type, uint16_t flags, const Body& body) {
    begin(type, flags);
    append(&body, sizeof body);
  }

  void add(uint16_t type, std::span<const uint8_t> value);
  void add(uint16_t type, uint32_t value);
  void add(uint16_t type, const IpAddress& address);  // Four bytes or sixteen.
  // What is added before close() is inside; that takes what open() returned.
  size_t open(uint16_t type);
  void close(size_t place);

  // Sends it and waits for the kernel's word: 0, or an errno value.
  int send();

 private:
  void begin(uint16_t type, uint16_t flags);
  void append(const void* bytes, size_t size);

  std::vector<uint8_t> bytes_;
};

}  // namespace shunt::io
